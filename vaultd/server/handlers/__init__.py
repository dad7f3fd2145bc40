"""One module per area of the protocol; each handler takes a Request and returns the answer."""
