"""A sealed container that the journal does not know is told from what a kill leaves, whatever a customer put there."""

import errno
import struct
from pathlib import Path

import pytest

from tests.vaultd.store.fakes import KEY, KEYRING, create, flip, make_id, make_settings, now_ns, short_hash, stored
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import Handle, SystemDoor
from vaultd.store.recovery.leftovers import is_sealed

BLOCK = 4096
HEADER_BYTES = 84
WRITTEN_AT_ONCE = 4 * 1024 * 1024  # what a kill leaves of more


class RefusingDoor(SystemDoor):
    """A bad sector: a read of the byte fails."""

    def __init__(self, at: int) -> None:
        self.at = at

    def read(self, handle: Handle, offset: int, length: int) -> bytes:
        if offset <= self.at < offset + length:
            raise OSError(errno.EIO, "Input/output error", str(handle.path))
        return super().read(handle, offset, length)


def record_with(seed: int, body: bytes) -> bytes:
    head = struct.pack("<4sBBBB16s16s32sI", b"SSR1", 1, 1, 1, 0, KEYRING, KEY, make_id(seed), len(body))
    return head + short_hash(head) + body


def trailer_block(directory_offset: int, directory_length: int = BLOCK, records: int = 1) -> bytes:
    head = struct.pack("<4s4sQQQQ", b"SSF1", bytes(4), 1, directory_offset, directory_length, records)
    return (head + short_hash(head)).ljust(BLOCK, b"\0")


def test_a_trailer_in_a_customers_record_does_not_make_a_leftover_a_sealed_container(tmp_path: Path) -> None:
    body = bytearray(5 * 1024 * 1024 - HEADER_BYTES)
    at = WRITTEN_AT_ONCE - BLOCK - BLOCK - HEADER_BYTES  # the last block that is written before the kill
    body[at : at + BLOCK] = trailer_block(2 * BLOCK)
    settings = make_settings(tmp_path, container_bytes=64 * 1024 * 1024)
    store = create(settings)
    store.append(0, [stored(record_with(7, bytes(body)))])
    store.close()
    (path,) = tmp_path.glob("disk0/containers/*/*.container")
    assert path.read_bytes()[-BLOCK:][:4] == b"SSF1"  # what a kill left ends in it
    store = ChunkStore.open(settings, SystemDoor(), now_ns)
    findings = store.recover(lambda key: True).findings
    store.close()
    assert (findings, list(path.parent.iterdir())) == ([], [])


def write_container(path: Path, content: bytes) -> Path:
    path.write_bytes(b"\0" * BLOCK + content)  # nobody looks at the header block for this
    return path


@pytest.mark.parametrize("directory_offset", [0, BLOCK, 2 * BLOCK, 3 * BLOCK, 4 * BLOCK])
def test_wherever_the_trailer_says_that_the_directory_lies(tmp_path: Path, directory_offset: int) -> None:
    """Also right behind a record that ends on a block: there the next one begins, with the trailer in it."""
    before = record_with(1, bytes(2 * BLOCK - HEADER_BYTES))
    last = record_with(2, bytes(2 * BLOCK - HEADER_BYTES) + trailer_block(directory_offset, 100))
    path = write_container(tmp_path / "c", before + last)
    assert path.stat().st_size == 6 * BLOCK
    assert not is_sealed(SystemDoor(), path)


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """Two groups with padding between them, and a directory of three rows."""
    settings = make_settings(tmp_path, container_bytes=64 * 1024)
    store = create(settings)
    for seeds in ((1, 2), (3,), (4,)):
        store.append(0, [stored(record_with(seed, bytes([seed]) * 20_000)) for seed in seeds])
        store.commit()
    store.close()
    return min(tmp_path.glob("disk0/containers/*/*.container"))


def test_whatever_bit_is_wrong_before_the_trailer_a_sealed_container_may_be_one(sealed: Path) -> None:
    """It was acknowledged, and must not be removed."""
    data = sealed.read_bytes()
    magics = [at for at in range(len(data)) if data[at : at + 4] in (b"SSR1", b"SSP1", b"SSD1")]
    assert [data[at : at + 4] for at in magics] == [b"SSR1", b"SSR1", b"SSP1", b"SSR1", b"SSP1", b"SSD1", b"SSP1"]
    assert is_sealed(SystemDoor(), sealed)
    for at in (offset for magic in magics for offset in range(magic, magic + HEADER_BYTES)):
        flip(sealed, at)
        assert is_sealed(SystemDoor(), sealed), at
        flip(sealed, at)


def test_whatever_block_the_disk_refuses_a_sealed_container_may_be_one(sealed: Path) -> None:
    for at in range(0, sealed.stat().st_size, BLOCK):
        assert is_sealed(RefusingDoor(at), sealed), at
