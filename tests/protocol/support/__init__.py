"""Parts that several tests of the protocol share."""
