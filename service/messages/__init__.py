"""The way out: from a message in the stream to a reply that is sent once."""
