"""How often a conversation waited for the other end: the longest chain of bytes that followed one another. Pure."""

from __future__ import annotations


class RoundTrips:
    """Counts for one connection, seen from the client.

    One is the set-up of TCP. One more each time that the client got an answer to bytes which it sent after the answer
    before: so n questions, each asked after the answer to the last, are n round trips, and n questions that are asked
    at once are one. Bytes carry the number with them: what is sent takes `client_depth` or `server_depth` along, and
    its arrival is told by the other two. An answer to a stream that goes on all the time is a round trip for each
    time that the link's length passes, so a link without delay counts every acknowledgement of such a stream.
    """

    def __init__(self) -> None:
        self.client_depth = 1
        self.server_depth = 0

    def arrive_at_server(self, depth: int) -> None:
        self.server_depth = max(self.server_depth, depth)

    def arrive_at_client(self, depth: int) -> None:
        """What a server says before it heard anything carries 0: it costs nothing beside the set-up."""
        self.client_depth = max(self.client_depth, depth + 1)
