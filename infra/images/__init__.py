"""How the base images are made from Debian packages, where the official ones cannot be pulled."""
