"""The way in: from a connection to a message in the stream."""
