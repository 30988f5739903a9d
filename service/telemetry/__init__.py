"""What the service tells: logs, metrics, health, alarms, mail."""
