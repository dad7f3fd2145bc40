"""Orders that a command hands over to the service of the same computer, by the socket in its state."""
