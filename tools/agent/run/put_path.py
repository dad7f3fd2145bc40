"""Puts a path into a manifest: its entry, and what of its attributes and extents no single entry holds."""

from collections.abc import Generator, Iterator

from tools.agent.chunks.extent_list import unpack_extents
from tools.client.extras_parts import extras_parts
from tools.client.manifest_writer import ManifestWriter

Put = Generator[None, None, None]


def put(
    writer: ManifestWriter,
    path: bytes,
    prefix: bytes,
    first: bytes,
    further: Iterator[bytes],
    extras: bytes | None,
    size: int,
) -> Put:
    """Yields behind the path's first extents, and behind each further part of them: blocks may be complete by then.
    EntryTooLarge when no block can hold the path.
    """
    *leading, last = [None] if extras is None else extras_parts(extras)
    if leading:
        writer.add(path, prefix, (), leading[0], size)
        for part in leading[1:]:
            writer.go_on(path, prefix, (), part)
        writer.go_on(path, prefix, unpack_extents(first), last)
    else:
        writer.add(path, prefix, unpack_extents(first), last, size)
    yield
    for part in further:
        writer.go_on(path, prefix, unpack_extents(part))
        yield
