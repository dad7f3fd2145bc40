"""Ids that everybody can tell from a seed: those that a vault was given, and others that it never saw."""

from __future__ import annotations

import random
from functools import cache

from blake3 import blake3

ID_BYTES = 32
KNOWN, UNKNOWN = "known", "unknown"


def ids_from(seed: int, kind: str, first: int, count: int) -> list[bytes]:
    """`count` of the endless row of ids of that kind, from number `first` on."""
    row = blake3(f"{seed} {kind}".encode())
    joined = row.digest(length=count * ID_BYTES, seek=first * ID_BYTES)
    return [joined[at : at + ID_BYTES] for at in range(0, len(joined), ID_BYTES)]


def make_offer(seed: int, number: int, count: int, held: int) -> tuple[list[bytes], list[bool]]:
    """The ids of offer `number`, and for each whether a vault that holds the first `held` known ids lacks it.

    Half of them are known, spread among the others. Known ids come again when all of them were asked for.
    """
    half = min(count // 2, held)
    known = ids_from(seed, KNOWN, number * half % (held - half + 1), half)
    asked = known + ids_from(seed, UNKNOWN, number * (count - half), count - half)
    order = shuffled(seed, count)
    return [asked[at] for at in order], [at >= half for at in order]


@cache
def shuffled(seed: int, count: int) -> list[int]:
    return random.Random(seed).sample(range(count), count)
