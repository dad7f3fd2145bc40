"""zstd as the record format uses it: one frame that declares its size, never larger than what it declares.

zstd's objects are not thread-safe, so every thread has its own. Both directions release the GIL.
"""

import threading

import zstandard

from tools.client.record_format import Buffer

CODEC_STORED = 0
CODEC_ZSTD = 1

_GAIN_WORTH_HAVING = 0.97  # what does not shrink below this is stored as it is
_PROBE_FROM_BYTES = 65_536  # smaller content is quicker to compress than to judge
_PROBE_PIECES = 8
_PROBE_PIECE_BYTES = 2_048
# A frame may ask for any window. Content is at most 4 MiB, so no honest frame asks for more than this.
_WINDOW_BYTES_MAX = 8 << 20


class _ThreadState(threading.local):
    """Compressors by level and one decompressor; built at a thread's first use."""

    def __init__(self) -> None:
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}
        self.decompressor = zstandard.ZstdDecompressor()

    def compressor(self, level: int) -> zstandard.ZstdCompressor:
        if level not in self.compressors:
            self.compressors[level] = zstandard.ZstdCompressor(level=level)
        return self.compressors[level]


_thread = _ThreadState()


def compress(plaintext: Buffer, level: int) -> tuple[int, Buffer]:
    """Codec and data; the plaintext itself (not a copy) when level is 0 or compressing gains less than 3 %."""
    if level == 0 or not plaintext or _looks_random(plaintext):
        return CODEC_STORED, plaintext
    compressed = _thread.compressor(level).compress(plaintext)
    if len(compressed) > len(plaintext) * _GAIN_WORTH_HAVING:
        return CODEC_STORED, plaintext
    return CODEC_ZSTD, compressed


def decompress(frame: Buffer, plain_length: int) -> bytes:
    """The content of one frame, exactly `plain_length` bytes of it; anything else is a ValueError.

    The library allocates whatever the frame declares, so the declaration is judged before it is called.
    """
    try:
        declared = zstandard.get_frame_parameters(frame)
        if declared.content_size != plain_length or not plain_length:
            raise ValueError("the compressed frame declares another length than the record")
        if declared.window_size > _WINDOW_BYTES_MAX or declared.dict_id:
            raise ValueError("the compressed frame asks for a window or a dictionary that no record has")
        content = _thread.decompressor.decompress(frame, max_output_size=plain_length, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(f"the compressed frame is broken: {error}") from None
    if len(content) != plain_length:
        raise ValueError("the compressed frame holds another length than it declares")
    return content


def _looks_random(plaintext: Buffer) -> bool:
    """Whether samples from the whole content hardly shrink at the quickest level."""
    if len(plaintext) < _PROBE_FROM_BYTES:
        return False
    view = memoryview(plaintext)
    step = (len(view) - _PROBE_PIECE_BYTES) // (_PROBE_PIECES - 1)
    sample = b"".join(view[i * step : i * step + _PROBE_PIECE_BYTES] for i in range(_PROBE_PIECES))
    return len(_thread.compressor(1).compress(sample)) > len(sample) * _GAIN_WORTH_HAVING
