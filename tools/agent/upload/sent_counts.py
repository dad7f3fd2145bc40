"""How much of a run the vault has acknowledged, over all its connections."""

from dataclasses import dataclass


@dataclass(slots=True)
class SentCounts:
    """`content_bytes` are of files alone, before compression: manifest blocks and companions are no content."""

    records: int = 0
    record_bytes: int = 0
    content_bytes: int = 0
