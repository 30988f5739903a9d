"""How fast the service is: measured beside a plain reference, on this machine, in one run."""
