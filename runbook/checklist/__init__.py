"""What must be right before a deployment: one module for each group of lines."""
