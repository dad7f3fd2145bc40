import errno
import struct

import msgpack
import pytest
from blake3 import blake3

from tests.vaultd.store.fakes import NOW_NS, VAULT, FailingDoor, flip, short_hash
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import FormatError, NewerFormat, NoSpace
from vaultd.store.index.checkpoint import CheckpointHeader, read_newest_checkpoint, verify_checkpoint, write_checkpoint
from vaultd.store.position import Position

ROWS = [("accounts", b"a", b"1"), ("jobs", b"j", b"22")]


@pytest.fixture
def directories(tmp_path):
    return [tmp_path / "c0", tmp_path / "c1"]


def header(number):
    return CheckpointHeader(VAULT, Position(1, number, bytes([number]) * 32), NOW_NS)


def write(directories, number, rows=ROWS):
    write_checkpoint(SystemDoor(), directories, header(number), rows)


def newest(directories):
    found = read_newest_checkpoint(SystemDoor(), directories, VAULT)
    return found and (found[0].number, list(found[1]))


def names(directories):
    return [sorted(path.name for path in directory.iterdir()) for directory in directories]


def test_a_checkpoint_byte_by_byte_on_both_disks(directories):
    write(directories, 5)
    head = struct.pack("<4sB3x16sI4xQ32sq40x", b"SSB1", 1, VAULT, 1, 5, b"\5" * 32, NOW_NS)
    block = msgpack.packb([["accounts", b"a", b"1"], ["jobs", b"j", b"22"]])
    digest = blake3(block).digest()
    expected = head + short_hash(head) + struct.pack("<I", len(block)) + block + digest
    expected += struct.pack("<IQ", 0, 2) + blake3(digest).digest()
    for directory in directories:
        assert (directory / "0000000000000005.checkpoint").read_bytes() == expected


def test_many_rows_come_back_in_order(directories):
    rows = [("t", struct.pack(">I", number), bytes(3000)) for number in range(2000)]
    write(directories, 1, iter(rows))
    assert newest(directories) == (1, rows)


def test_an_empty_catalog_has_a_checkpoint(directories):
    write(directories, 1, [])
    assert newest(directories) == (1, [])


def test_two_are_kept(directories):
    for number in (1, 2, 3):
        write(directories, number)
    for directory in directories:
        assert sorted(path.name for path in directory.iterdir()) == [
            "0000000000000002.checkpoint",
            "0000000000000003.checkpoint",
        ]


def test_those_of_a_longer_history_that_lost_take_no_place(directories):
    for number in (7, 8, 1, 2, 3):
        write(directories, number)
    kept = [f"{number:016x}.checkpoint" for number in (2, 3, 7, 8)]
    assert names(directories) == [kept, kept]


def test_every_flipped_byte_is_noticed_and_the_other_copy_used(directories):
    write(directories, 5)
    path = directories[0] / "0000000000000005.checkpoint"
    for at in range(path.stat().st_size):
        flip(path, at)
        with pytest.raises(FormatError):
            verify_checkpoint(SystemDoor(), path)
        assert newest(directories) == (5, ROWS)
        flip(path, at)


def test_every_cut_is_noticed(directories):
    write(directories, 5)
    path = directories[0] / "0000000000000005.checkpoint"
    whole = path.read_bytes()
    for end in [*range(len(whole)), len(whole) + 1]:
        path.write_bytes((whole + b"\0")[:end])
        with pytest.raises(FormatError):
            verify_checkpoint(SystemDoor(), path)


def test_the_older_one_is_used_when_both_copies_are_damaged(directories):
    write(directories, 1, [])
    write(directories, 2)
    for directory in directories:
        flip(directory / "0000000000000002.checkpoint", 140)
    assert newest(directories) == (1, [])


def test_one_of_another_vault_is_not_used(directories):
    write(directories, 1)
    assert read_newest_checkpoint(SystemDoor(), directories, b"v" * 16) is None
    assert read_newest_checkpoint(SystemDoor(), [directories[0].parent / "none"], VAULT) is None


def test_a_failed_write_leaves_the_older_one(directories):
    write(directories, 1)

    def rows():
        yield ROWS[0]
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write(directories, 2, rows())
    assert newest(directories) == (1, ROWS)
    assert names(directories) == [["0000000000000001.checkpoint"]] * 2
    write(directories, 2)
    assert newest(directories) == (2, ROWS)


def test_every_call_that_fails_leaves_nothing_half(directories):
    """Its disk is the journal's too: what a full disk or a crash left must not stay."""
    write(directories, 1)
    fail_at = 0
    door = FailingDoor(errno.ENOSPC)
    while True:
        fail_at += 1
        door.failed = ""
        door.arm(fail_at)
        try:
            write_checkpoint(door, directories, header(2), ROWS)
        except OSError:
            assert door.failed
        if not door.failed:
            break
        assert not [name for held in names(directories) for name in held if not name.endswith(".checkpoint")]
        assert newest(directories) in [(1, ROWS), (2, ROWS)]
    assert fail_at > 8


def test_what_a_crash_left_goes_with_the_next_one(directories):
    write(directories, 1)
    for directory in directories:
        (directory / "0000000000000002.checkpoint.tmp").write_bytes(b"left by a crash")
        (directory / "notes.tmp").write_bytes(b"not ours")
    write(directories, 3)
    assert names(directories) == [["0000000000000001.checkpoint", "0000000000000003.checkpoint", "notes.tmp"]] * 2


def test_a_checkpoint_that_does_not_read_back_lets_no_older_one_go(directories):
    """A disk that lies: it says that it wrote, and holds something else."""

    class Lying(SystemDoor):
        def pwrite(self, handle, view, offset):
            data = bytearray(view)
            if handle.path.parent == directories[1]:
                data[-1] ^= 1
            super().pwrite(handle, data, offset)

    write(directories, 1)
    write(directories, 2)
    with pytest.raises(FormatError):
        write_checkpoint(Lying(), directories, header(3), ROWS)
    assert names(directories) == [["0000000000000001.checkpoint", "0000000000000002.checkpoint"]] * 2
    assert newest(directories) == (2, ROWS)


@pytest.mark.parametrize("tells_late", [False, True])
@pytest.mark.parametrize("room", [0, 1, 500, 5_000_000])
def test_a_checkpoint_leaves_the_reserve_to_the_journal(directories, room, tells_late):
    """Of the checkpoint's 6 MB only `room` bytes fit: the first piece, or the last, is one too many.

    A file system that tells late counts nothing of what was written since it was asked to settle (btrfs).
    """
    reserve = 100_000
    free_least = reserve + room

    class Small(SystemDoor):
        def space(self, path):
            return 1 << 40, self.free(path) if not tells_late else reserve + room

        def free(self, path):
            return reserve + room - sum(one.stat().st_size for one in path.iterdir())

        def pwrite(self, handle, view, offset):
            nonlocal free_least
            super().pwrite(handle, view, offset)
            free_least = min(free_least, self.free(handle.path.parent))

    for directory in directories:
        directory.mkdir()
    rows = [("t", struct.pack(">I", number), bytes(3000)) for number in range(2000)]
    with pytest.raises(NoSpace, match=r"c0 has no room for a checkpoint above the reserve \(\d+ bytes are free\)"):
        write_checkpoint(Small(), directories, header(2), rows, reserve)
    assert free_least >= reserve
    assert names(directories) == [[], []]


@pytest.mark.parametrize("at", [4, 5, 28])
def test_one_of_a_later_version_is_not_passed_over_for_an_older_one(directories, at):
    write(directories, 1)
    write(directories, 2)
    for directory in directories:
        path = directory / f"{2:016x}.checkpoint"
        data = bytearray(path.read_bytes())
        data[at] ^= 2
        data[120:128] = short_hash(bytes(data[:120]))
        path.write_bytes(data)
    with pytest.raises(NewerFormat, match="later version"):
        newest(directories)
