"""The servers and packages that might have been chosen, each at the least that it has to do here."""
