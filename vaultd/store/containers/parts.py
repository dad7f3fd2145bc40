"""What a container holds behind its header block, part by part without a hole: records and the paddings behind them.

Pure. A directory, or the rows that will be one, says where the records lie.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from blake3 import blake3

from vaultd.store.containers.format import BLOCK_BYTES, DirectoryRow, encode_padding_to_boundary
from vaultd.store.errors import FormatError


class Part(NamedTuple):
    """A record, or a padding, which has no row; `cid` is the hash of its bytes."""

    start: int
    end: int
    cid: bytes
    row: DirectoryRow | None


def parts_of(rows: Sequence[DirectoryRow], end: int) -> Iterator[Part]:
    """From the first block up to `end`; FormatError where there is a hole."""
    position = BLOCK_BYTES
    for row in rows:
        if row.offset != position:
            padding = _padding(position)
            yield padding
            position = padding.end
        if row.offset != position:
            raise FormatError(f"container directory: nothing lies at offset {position}, before record {row.id.hex()}")
        position += row.length
        yield Part(row.offset, position, row.cid, row)
    if position != end:
        padding = _padding(position)
        yield padding
        position = padding.end
    if position != end:
        raise FormatError(f"container directory: nothing lies at offset {position}")


def _padding(position: int) -> Part:
    data = encode_padding_to_boundary(position)
    return Part(position, position + len(data), blake3(data).digest(), None)
