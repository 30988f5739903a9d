"""What watches a stack: configuration of Prometheus, Alertmanager and exporters, made from `targets.toml`."""
