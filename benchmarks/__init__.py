"""Measurements of whole processes: real vault, real agent, real TLS on loopback."""
