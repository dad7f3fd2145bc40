"""Where content is cut (docs/format.md, Cutting content): large files by content, small files together in bundles.

A cut depends on the bytes since the cut before and on the seed alone, never on how a file was read.
"""

import pyfastcdc

from tools.client.record_format import Buffer

CUT_FROM_BYTES = 1_048_576  # files of this size and more are cut by content
CHUNK_MEAN_BYTES = 1_048_576
CHUNK_MIN_BYTES = 524_288
CHUNK_MAX_BYTES = 4_194_304
BUNDLE_MIN_BYTES = 524_288
BUNDLE_MAX_BYTES = 2_097_152

# Bit 63 of the seed never reaches a bit that the masks look at (they end at bit 48, and every shift goes left), but the
# library's own doubling of the seed overflows with it.
_SEED_MASK = 2**63 - 1


class FileCutter:
    """Cuts one file after the other; `cut` releases the GIL. The seed is the eight bytes of the keyring."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != 8:
            raise ValueError(f"a chunker seed has 8 bytes, not {len(seed)}")
        self._fastcdc = pyfastcdc.FastCDC(
            CHUNK_MEAN_BYTES,
            min_size=CHUNK_MIN_BYTES,
            max_size=CHUNK_MAX_BYTES,
            normalized_chunking=1,
            seed=int.from_bytes(seed, "little") & _SEED_MASK,
        )

    def cut(self, content: Buffer, *, final: bool) -> list[int]:
        """Lengths of the chunks from the last cut on; with `final` they cover the rest of the file.

        Without it only cuts that no later byte can move are returned; call again with the uncovered rest and more
        behind it. The rest is shorter than 4 MiB, and looking at it again costs little when reads are some MiB each.
        """
        lengths = []
        left = len(content)
        for chunk in self._fastcdc.cut_buf(content):
            # A cut inside the content was found there; one at its very end only says that the content ended.
            if chunk.length == left and left < CHUNK_MAX_BYTES and not final:
                break
            lengths.append(chunk.length)
            left -= chunk.length
        return lengths


def bundle_ends_before(bundle_bytes: int, size_bytes: int) -> bool:
    """Whether a file of that size begins a new bundle, because this one would become too large."""
    return bundle_bytes > 0 and bundle_bytes + size_bytes > BUNDLE_MAX_BYTES


def bundle_ends_after(bundle_bytes: int, file_hash: bytes, size_bytes: int) -> bool:
    """Whether a bundle, with this file in it, ends here: as likely as the file is large, so about every MiB."""
    return bundle_bytes >= BUNDLE_MIN_BYTES and int.from_bytes(file_hash[:8], "little") < size_bytes << 45
