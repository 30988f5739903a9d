"""The smoke suite: does one deployed release do what it must? Speaks HTTP only; runs alone with pytest."""
