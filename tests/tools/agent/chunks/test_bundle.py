"""Bundles against the rule of the format page, restated here."""

import random

from blake3 import blake3

from tools.agent.chunks.bundle import Bundler
from tools.agent.chunks.chunk import PendingChunk


def model(files: list[bytes]) -> list[bytes]:
    """docs/format.md, Bundles, word by word."""
    bundles, current = [], b""
    for content in files:
        if current and len(current) + len(content) > 2_097_152:
            bundles.append(current)
            current = b""
        current += content
        first = int.from_bytes(blake3(content, key=b"k" * 32).digest()[:8], "little")
        if len(current) >= 524_288 and (first < len(content) * 2**45 or len(content) >= 524_288):
            bundles.append(current)
            current = b""
    return [*bundles, current] if current else bundles


def test_bundles_end_where_the_format_says() -> None:
    source = random.Random(7)
    files = [source.randbytes(source.choice([1, 300, 9_000, 80_000, 400_000, 900_000])) for _ in range(300)]
    bundler, ended = Bundler(), []
    extents = []
    for content in files:
        extent, chunks = bundler.add(content, blake3(content, key=b"k" * 32).digest())
        extents.append(extent)
        ended += chunks
    ended += bundler.end()
    assert [chunk.content for chunk in ended] == model(files)
    assert [e.chunk.content[e.offset : e.offset + e.length] for e in extents] == files
    assert bundler.is_empty
    assert bundler.end() == []


def test_an_ended_bundle_is_not_written_to_again() -> None:
    bundler = Bundler()
    extent, _ = bundler.add(b"a", b"\xff" * 32)
    (chunk,) = bundler.end()
    assert extent.chunk is chunk
    other, _ = bundler.add(b"b", b"\xff" * 32)
    assert isinstance(other.chunk, PendingChunk)
    assert other.chunk is not chunk
    assert chunk.content == b"a"
