"""Whether what is to be restored fits on the target, before anything is written.

An upper bound stands in the top of the manifest, which is here. Only where that is too much for the target the entries
are walked: without holes, the names of a file once, less what is there already.
"""

import os
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from tools.agent.restore.linked_names import LinkedNames
from tools.agent.safeset.entries import Damage, walk_safeset
from tools.agent.safeset.unlock import Unlocked
from tools.client.failure import Failure
from tools.client.manifest import Entry, Extra, Leaf, sort_key
from tools.client.manifest_decode import decode_block
from tools.client.record_format import IntegrityError
from tools.client.units import size_text

_STATUS_BLOCK_BYTES = 512


async def check_room(unlocked: Unlocked, paths: Sequence[bytes], target: Path) -> None:
    """`paths` as for a restore. Failure where they need more than is free."""
    free_bytes = _free_bytes(target)
    if free_bytes is None:
        return
    if _bytes_at_most(unlocked, paths) <= free_bytes:
        return
    needed_bytes = await _needed_bytes(unlocked, paths, target)
    if needed_bytes > free_bytes:
        raise Failure(
            "no_space",
            f"the restore needs {size_text(needed_bytes)}, {target} has {size_text(free_bytes)} free",
            "make room or name fewer paths; --no-space-check begins all the same, and ends at what does not fit",
        )


def _bytes_at_most(unlocked: Unlocked, paths: Sequence[bytes]) -> int:
    """Of all blocks that have something at or below one of the paths; none where the restore will tell of damage."""
    plaintext = unlocked.top_block[0]
    if isinstance(plaintext, IntegrityError):
        return 0
    try:
        top = decode_block(plaintext)
    except IntegrityError:
        return 0
    if isinstance(top, Leaf):
        return sum(entry.size for entry in top.entries)
    ranges = [_range(path) for path in paths]
    return sum(
        row.content_bytes
        for row in top.rows
        if any(sort_key(row.first) < end and sort_key(row.last) >= begin for begin, end in ranges)
    )


def _range(path: bytes) -> tuple[bytes, bytes]:
    """What sorts between these is the path or lies below it."""
    key = sort_key(path)
    return (key, key + b"\1") if key else (b"", b"\xff" * 8)


def _free_bytes(target: Path) -> int | None:
    """None where the file system does not tell, as one in memory without a bound."""
    status = os.statvfs(target)
    return status.f_bavail * status.f_frsize if status.f_blocks else None


async def _needed_bytes(unlocked: Unlocked, paths: Sequence[bytes], target: Path) -> int:
    """What is damaged is told by the restore itself."""
    names, damage, needed_bytes = LinkedNames(), Damage(), 0
    device = os.stat(target).st_dev
    for path in paths:
        async with aclosing(walk_safeset(unlocked, path, damage)) as found:
            async for entries in found:
                for entry in entries:
                    if not entry.is_continuation and names.first_name(entry) is None and _is_on(device, target, entry):
                        needed_bytes += max(0, _stored_bytes(entry) - _bytes_there(target, entry))
    return needed_bytes


def _is_on(device: int, target: Path, entry: Entry) -> bool:
    """Not where another file system is mounted below the target: its room is looked at by nobody beforehand."""
    directory = os.path.join(bytes(target), entry.path.rpartition(b"/")[0])
    try:
        return os.stat(directory).st_dev == device
    except OSError:
        return True  # it is made


def _stored_bytes(entry: Entry) -> int:
    holes: list[int] = (entry.extras or {}).get(Extra.HOLES, [])
    return entry.size - sum(holes[1::2])


def _bytes_there(target: Path, entry: Entry) -> int:
    try:
        status = os.lstat(os.path.join(bytes(target), entry.path))
    except OSError:
        return 0
    return min(status.st_blocks * _STATUS_BLOCK_BYTES, entry.size)
