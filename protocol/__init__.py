"""What vault, agent and tools say to each other: messages over HTTP/2 over TLS (docs/protocol.md).

Everything here but `transport` is sans-IO: bytes in, events out. Only `transport` knows Trio and TLS.
"""
