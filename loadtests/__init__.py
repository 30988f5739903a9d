"""The load gate: signed webhooks at an open arrival rate; pass, fail or no evidence. Speaks HTTP only."""
