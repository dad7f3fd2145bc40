import random

import pytest
import zstandard

from tools.client.compression import CODEC_STORED, CODEC_ZSTD, compress, decompress

NOISE = random.Random(1).randbytes(300_000)
TEXT = b"every line of this text is like the one before it\n" * 4_000


@pytest.mark.parametrize("content", [b"", b"x", NOISE[:100], NOISE[:60_000], NOISE])
def test_content_that_does_not_shrink_is_stored_and_not_copied(content):
    codec, data = compress(content, 3)
    assert codec == CODEC_STORED
    assert data is content


def test_level_0_stores_everything():
    assert compress(TEXT, 0) == (CODEC_STORED, TEXT)


@pytest.mark.parametrize("level", [1, 3, 9])
@pytest.mark.parametrize("content", [TEXT, TEXT[:1000], NOISE[:150_000] + TEXT], ids=["text", "short", "half"])
def test_content_that_shrinks_becomes_one_frame_with_its_size(level, content):
    codec, data = compress(content, level)
    assert codec == CODEC_ZSTD
    assert len(data) < 0.97 * len(content)
    assert zstandard.frame_content_size(data) == len(content)
    assert zstandard.ZstdDecompressor().decompress(data) == content
    assert decompress(memoryview(data), len(content)) == content


def frame(content, **options):
    return zstandard.ZstdCompressor(**options).compress(content)


def streamed(content):
    """A frame that does not declare its size."""
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(content) + compressor.flush()


HUGE = bytes(50_000_000)


@pytest.mark.parametrize(
    ("data", "plain_length"),
    [
        (frame(HUGE), 1000),
        (frame(TEXT), len(TEXT) - 1),
        (frame(TEXT), len(TEXT) + 1),
        (frame(b""), 0),
        (frame(b""), 10),
        (streamed(TEXT), len(TEXT)),
        (frame(TEXT) + b"x", len(TEXT)),
        (frame(TEXT) + frame(TEXT), len(TEXT)),
        (frame(TEXT)[:-1], len(TEXT)),
        (b"", 10),
        (b"no frame at all", 10),
        (b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + frame(TEXT), len(TEXT)),
    ],
    ids=["bomb", "less", "more", "empty", "empty-10", "unsized", "trailing", "two", "cut", "nothing", "noise", "skip"],
)
def test_a_frame_that_is_not_exactly_what_the_record_says_is_refused(data, plain_length):
    with pytest.raises(ValueError, match="compressed frame"):
        decompress(data, plain_length)


def test_a_frame_with_a_huge_window_is_refused():
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj(size=len(TEXT))
    data = bytearray(compressor.compress(TEXT) + compressor.flush())
    # Not single-segment: the frame header descriptor is followed by a window byte, here for 2^(10+17) bytes.
    wide = bytes(data[:4]) + bytes([data[4] & ~0x20, 17 << 3]) + bytes(data[5:])
    assert zstandard.get_frame_parameters(wide).window_size == 1 << 27
    with pytest.raises(ValueError, match="window"):
        decompress(wide, len(TEXT))
