"""The twin of the disk is what the proofs of the store stand on: it answers as the real file system does, forgets what
was not synced, and never what was.
"""

import errno
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support.disk_faults import (
    Killed,
    fail,
    kill_after,
    kill_before,
    lose_sync,
    no_faults,
    short_write,
    tear,
)
from tests.support.simulated_disk import SimulatedDisk
from tests.support.simulated_door import SimulatedDoor
from vaultd.store.disk_door import Door, Handle, SystemDoor, read_file, write_file

ROOT = Path("/simulated/disk")
SEEDS = range(200)
NAMES = ("a", "b", "inner", "inner/c", "inner/d", "a/below", "absent/e")


def contents_after_cut(prepare: Callable[[SimulatedDoor], Any], path: Path) -> set[bytes | None]:
    """What a power cut leaves of one file, over many seeds; None where it is gone."""
    disk = SimulatedDisk(ROOT)
    prepare(SimulatedDoor(disk))
    found: set[bytes | None] = set()
    for seed in SEEDS:
        cut = disk.copy()
        cut.cut_power(Random(seed))
        door = SimulatedDoor(cut)
        found.add(read_file(door, path) if door.exists(path) else None)
    return found


def write(door: Door, path: Path, data: bytes, *, sync: bool = False) -> Handle:
    handle = door.open_new(path)
    door.pwrite(handle, data, 0)
    if sync:
        door.fdatasync(handle)
    return handle


def test_what_was_synced_under_a_synced_name_is_never_lost() -> None:
    def prepare(door: SimulatedDoor) -> None:
        handle = write(door, ROOT / "a", b"x" * 10_000, sync=True)
        door.fsync_directory(ROOT)
        door.pwrite(handle, b"y" * 10_000, 10_000)

    assert all(data is not None and data[:10_000] == b"x" * 10_000 for data in contents_after_cut(prepare, ROOT / "a"))


def test_what_was_not_synced_survives_wholly_in_part_or_not_at_all() -> None:
    def prepare(door: SimulatedDoor) -> None:
        handle = write(door, ROOT / "a", b"x" * 4096, sync=True)
        door.fsync_directory(ROOT)
        door.pwrite(handle, b"y" * 16_384, 4096)
        door.pwrite(handle, b"z" * 16_384, 20_480)

    found = {data[4096:] for data in contents_after_cut(prepare, ROOT / "a") if data is not None}
    assert b"" in found
    assert b"y" * 16_384 + b"z" * 16_384 in found
    assert bytes(16_384) + b"z" * 16_384 in found  # the later write without the earlier one
    assert b"y" * 16_384 in found
    assert bytes(32_768) in found  # only the size
    torn = [data for data in found if 0 < data.count(b"y") < 16_384]
    assert any(data.count(b"y") % 4096 for data in torn)
    assert any(data.count(b"y") % 4096 == 0 for data in torn)
    assert all(data.count(b"y") % 512 == 0 for data in torn if set(data) <= set(b"yz\0"))
    assert any(set(data) - set(b"xyz\0") for data in found)  # garbage
    assert any(b"x" in data for data in found)  # old bytes


def test_a_file_whose_name_was_not_synced_may_be_gone() -> None:
    def prepare(door: SimulatedDoor) -> None:
        write(door, ROOT / "a", b"new", sync=True)

    assert contents_after_cut(prepare, ROOT / "a") == {None, b"new"}


def test_a_rename_without_directory_sync_can_come_back_and_is_never_half_done() -> None:
    def prepare(door: SimulatedDoor) -> None:
        write(door, ROOT / "a", b"old", sync=True)
        write(door, ROOT / "a.tmp", b"new", sync=True)
        door.fsync_directory(ROOT)
        door.rename(ROOT / "a.tmp", ROOT / "a")

    assert contents_after_cut(prepare, ROOT / "a") == {b"old", b"new"}
    assert contents_after_cut(prepare, ROOT / "a.tmp") == {None, b"new"}


def test_a_small_file_is_old_or_new() -> None:
    disk = SimulatedDisk(ROOT)
    write_file(SimulatedDoor(disk), ROOT / "a", b"old" * 1000)
    counted = no_faults()
    write_file(SimulatedDoor(disk.copy(), counted), ROOT / "a", b"new" * 1000)
    assert counted.count == 5
    for n in range(1, counted.count + 1):
        for seed in SEEDS:
            cut = disk.copy()
            with pytest.raises(Killed):
                write_file(SimulatedDoor(cut, kill_after(n)), ROOT / "a", b"new" * 1000)
            cut.cut_power(Random(seed))
            assert read_file(SimulatedDoor(cut), ROOT / "a") in (b"old" * 1000, b"new" * 1000)


def test_an_unsynced_cut_of_a_file_can_come_back() -> None:
    def prepare(door: SimulatedDoor) -> None:
        handle = write(door, ROOT / "a", b"kept-cut", sync=True)
        door.fsync_directory(ROOT)
        door.truncate(handle, 4)

    found = contents_after_cut(prepare, ROOT / "a")
    assert {b"kept", b"kept-cut"} <= found
    assert all(data is not None and data[:4] == b"kept" for data in found)


def test_a_failed_sync_loses_the_bytes_though_reads_show_them_and_the_next_sync_succeeds() -> None:
    disk = SimulatedDisk(ROOT)
    door = SimulatedDoor(disk, lose_sync(2))
    handle = write(door, ROOT / "a", b"old", sync=True)
    door.fsync_directory(ROOT)
    door.pwrite(handle, b"new!", 0)
    with pytest.raises(OSError, match="told to fail"):
        door.fdatasync(handle)
    assert door.read(handle, 0, 9) == b"new!"
    door.fdatasync(handle)
    assert door.read(handle, 0, 9) == b"new!"
    cut = disk.copy()
    cut.cut_power(Random(1))
    assert read_file(SimulatedDoor(cut), ROOT / "a") == b"old\0"
    door.drop_cache(handle, 0, 0)
    assert door.read(handle, 0, 9) == b"old\0"


def test_a_kill_leaves_what_the_page_cache_holds() -> None:
    for plan, expected in ((kill_before(2), b""), (kill_after(2), b"x" * 99)):
        disk = SimulatedDisk(ROOT)
        door = SimulatedDoor(disk, plan)
        with pytest.raises(Killed):
            write(door, ROOT / "a", b"x" * 99)
        with pytest.raises(Killed):
            door.listdir(ROOT)
        assert read_file(SimulatedDoor(disk), ROOT / "a") == expected


def test_a_torn_and_a_short_write_leave_a_part() -> None:
    lengths = set()
    for seed in SEEDS:
        disk = SimulatedDisk(ROOT)
        with pytest.raises(Killed):
            write(SimulatedDoor(disk, tear(2, seed)), ROOT / "a", b"x" * 9)
        torn = read_file(SimulatedDoor(disk), ROOT / "a")
        disk = SimulatedDisk(ROOT)
        with pytest.raises(OSError) as caught:
            write(SimulatedDoor(disk, short_write(1, seed=seed)), ROOT / "a", b"x" * 9)
        assert caught.value.errno == errno.ENOSPC
        assert read_file(SimulatedDoor(disk), ROOT / "a") == torn
        lengths.add(len(torn))
    assert lengths == set(range(10))


def test_errors_come_once_or_from_then_on() -> None:
    def outcomes(door: SimulatedDoor) -> list[int]:
        numbers = []
        for name in "abcd":
            try:
                door.mkdir(ROOT / name)
                numbers.append(0)
            except OSError as error:
                numbers.append(error.errno or -1)
        return numbers

    once = fail(2, errno.EDQUOT)
    assert outcomes(SimulatedDoor(SimulatedDisk(ROOT), once)) == [0, errno.EDQUOT, 0, 0]
    assert once.hits == ["mkdir b"]
    lasting = fail(2, errno.EROFS, lasting=True)
    assert outcomes(SimulatedDoor(SimulatedDisk(ROOT), lasting)) == [0] + 3 * [errno.EROFS]


def test_a_full_disk_takes_what_fits() -> None:
    disk = SimulatedDisk(ROOT, size_bytes=1000)
    door = SimulatedDoor(disk)
    handle = write(door, ROOT / "a", b"x" * 900)
    assert door.space(ROOT) == (1000, 100)
    with pytest.raises(OSError) as caught:
        door.pwrite(handle, b"y" * 200, 900)
    assert caught.value.errno == errno.ENOSPC
    assert door.size(ROOT / "a") == 1000
    assert door.space(ROOT) == (1000, 0)
    door.pwrite(handle, b"z" * 1000, 0)
    door.unlink(ROOT / "a")
    assert door.space(ROOT) == (1000, 1000)


def test_a_disk_is_away_read_only_or_in_trouble() -> None:
    disk = SimulatedDisk(ROOT)
    door = SimulatedDoor(disk)
    handle = write(door, ROOT / "a", b"x")
    disk.is_read_only = True
    assert door.read(handle, 0, 1) == b"x"
    assert door.space(ROOT)[1] == 0
    with pytest.raises(OSError, match="Read-only"):
        door.pwrite(handle, b"y", 0)
    disk.trouble = errno.EIO
    assert not door.exists(ROOT / "a")
    with pytest.raises(OSError, match="Input/output"):
        door.read(handle, 0, 1)
    disk.is_away = True
    with pytest.raises(FileNotFoundError):
        door.open_read(ROOT / "a")


def test_the_same_seed_gives_the_same_bytes() -> None:
    def run() -> list[dict[str, bytes]]:
        found = []
        for seed in SEEDS:
            disk = SimulatedDisk(ROOT)
            act(SimulatedDoor(disk), ROOT, Random(seed), 40)
            disk.cut_power(Random(seed))
            found.append({str(path): bytes(file.live) for path, file in disk.files().items()})
        return found

    assert run() == run()


def test_a_copy_is_a_world_of_its_own() -> None:
    disk = SimulatedDisk(ROOT)
    act(SimulatedDoor(disk), ROOT, Random(5), 60)
    before = {path: (bytes(file.live), bytes(file.durable)) for path, file in disk.files().items()}
    act(SimulatedDoor(disk.copy()), ROOT, Random(6), 60)
    disk.copy().cut_power(Random(7))
    assert {path: (bytes(file.live), bytes(file.durable)) for path, file in disk.files().items()} == before
    one, other = disk.copy(), disk.copy()
    one.cut_power(Random(8))
    other.cut_power(Random(8))
    assert {path: bytes(file.live) for path, file in one.files().items()} == {
        path: bytes(file.live) for path, file in other.files().items()
    }


@pytest.mark.parametrize("seed", range(40))
def test_it_answers_as_the_real_file_system_does(tmp_path: Path, seed: int) -> None:
    real = act(SystemDoor(), tmp_path, Random(seed), 120)
    disk = SimulatedDisk(tmp_path)
    assert act(SimulatedDoor(disk), tmp_path, Random(seed), 120) == real
    assert {path: bytes(file.live) for path, file in disk.files().items()} == {
        path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    }
    loaded = SimulatedDisk(tmp_path)
    loaded.load(tmp_path)
    loaded.cut_power(Random(seed))
    assert {path: file.live for path, file in loaded.files().items()} == {
        path: file.live for path, file in disk.files().items()
    }


def act(door: Door, root: Path, rng: Random, count: int) -> list[Any]:
    """Random calls, and what each of them answered: a value, or the number of its error."""
    handles: list[Handle] = []
    answers: list[Any] = []
    for _ in range(count):
        try:
            answer = act_once(door, root, rng, handles)
        except OSError as error:
            answer = f"error {error.errno}"
        answers.append(answer)
    for handle in handles:
        door.close(handle)
    return answers


def act_once(door: Door, root: Path, rng: Random, handles: list[Handle]) -> Any:
    path, other = root / rng.choice(NAMES), root / rng.choice(NAMES)
    offset, length = rng.randrange(9000), rng.randrange(9000)
    data = rng.randbytes(length)
    way = rng.choice(["open"] * 3 + ["handle"] * 6 + ["name"] * 6)
    if way == "open":
        name = rng.choice(("open_new", "open_write", "open_read"))
        handle = getattr(door, name)(path)
        handles.append(handle)
        return name
    if way == "handle":
        if not handles:
            return None
        handle = rng.choice(handles)
        name = rng.choice(("pwrite", "pwrite", "read", "read", "truncate", "fdatasync", "drop_cache", "close"))
        if name == "pwrite":
            return door.pwrite(handle, data, offset)
        if name == "truncate":
            return door.truncate(handle, length)
        if name == "fdatasync":
            return door.fdatasync(handle)
        if name == "close":
            handles.remove(handle)
            return door.close(handle)
        return getattr(door, name)(handle, offset, length)
    name = rng.choice(("exists", "exists", "size", "listdir", "mkdir", "rename", "rename", "unlink", "fsync_directory"))
    if name == "rename":
        return door.rename(path, path.parent / other.name)
    answer = getattr(door, name)(path)
    return 0 if name == "size" and is_directory(door, path) else answer  # a directory has any size


def is_directory(door: Door, path: Path) -> bool:
    try:
        door.listdir(path)
    except NotADirectoryError:
        return False
    return True
