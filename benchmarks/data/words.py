"""Text-like bytes: words and word groups of a seeded vocabulary, as quick to make as random bytes."""

from __future__ import annotations

import random

GROUPS = 65_536
SYLLABLES = ("ba", "ne", "ri", "so", "lu", "ta", "mi", "ko", "ver", "den", "al", "ost", "in", "ge", "sch", "tr", "el")
ENDS = (" ", " ", " ", ", ", ".\n", "; ", "(", ") ", " = ", ":\n    ", "/", "_")


class Words:
    """A vocabulary of as many groups as two bytes can name; zstd keeps about a third of what it writes."""

    def __init__(self, seed: int) -> None:
        numbers = random.Random(seed)
        self._groups = [
            "".join(
                "".join(numbers.choices(SYLLABLES, k=numbers.randint(1, 4))) + numbers.choice(ENDS)
                for _ in range(numbers.randint(1, 3))
            ).encode()
            for _ in range(GROUPS)
        ]
        self._mean_bytes = sum(map(len, self._groups)) / GROUPS

    def write(self, numbers: random.Random, size_bytes: int) -> bytes:
        """`size_bytes` of text that `numbers` choose."""
        text = b""
        while len(text) < size_bytes:
            count = int((size_bytes - len(text)) / self._mean_bytes * 1.02) + 2
            text += b"".join(map(self._groups.__getitem__, memoryview(numbers.randbytes(2 * count)).cast("H")))
        return text[:size_bytes]
