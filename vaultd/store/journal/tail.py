"""What stands behind the last whole entry of a segment: a write that did not end, or an entry with a wrong bit.

Nothing tells them apart for sure. So where index and catalog do not either, what is cut is kept. Pure.
"""

from struct import Struct as Layout

from vaultd.store.findings import Severity

UNTOLD = "neither index nor catalog says whether it was acknowledged"
_MAGIC = b"SSJ1"
_HEAD = Layout("<4sI")  # the first fields of an entry: magic and length of the whole
_ENTRY_BYTES_MIN = 96


def severity_of(tail: bytes) -> Severity:
    """As good as sure is damage only where an entry is as long as it says: an acknowledged one never ends early."""
    if len(tail) < _HEAD.size:
        return Severity.warning
    magic, length = _HEAD.unpack_from(tail)
    return Severity.damage if magic == _MAGIC and _ENTRY_BYTES_MIN <= length <= len(tail) else Severity.warning
