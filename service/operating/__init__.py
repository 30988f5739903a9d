"""What an operator looks into and changes in the running service."""
