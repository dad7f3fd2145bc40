"""Everything that a file system holds comes back as it was: rsync finds nothing to change."""

import errno
import os
import random
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.store_v1_sources import write_kinds
from tests.support.refused_links import refuse_links
from tests.tools.agent.conftest import Site, differences
from tools.agent.run import backup
from tools.agent.scan import read_file, scan
from tools.agent.system import holes
from tools.client.manifest import Extra

MIB = 1024 * 1024
BLOCK = 4096
YEAR_NS = 365 * 86_400_000_000_000
OLD_NS = 1_500_000_000_000_000_000


def make_old(root: Path) -> None:
    """Young files are read by each run."""
    for directory, _, files in os.walk(root, topdown=False):
        for name in files:
            os.utime(os.path.join(directory, name), ns=(1, OLD_NS), follow_symlinks=False)
        os.utime(directory, ns=(1, OLD_NS))


def data_of(path: Path) -> list[tuple[int, int]]:
    """The stretches with data, as the file system tells."""
    found = []
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        at = 0
        while at < end:
            try:
                begin = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break  # nothing more
            at = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            found.append((begin, at))
    return found


async def test_every_kind_comes_back_as_it_was(site: Site) -> None:
    write_kinds(site.source / "kinds")
    assert (await site.back_up()).missed.kept == []
    restored = await site.restore(is_privileged=True)
    assert restored.missed.kept == []
    assert differences(site.source, site.restored_source) == ""
    assert data_of(site.restored_source / "kinds/sparse") == data_of(site.source / "kinds/sparse")
    again = await site.restore(is_privileged=True)
    assert (again.files, again.missed.kept) == (0, [])
    assert differences(site.source, site.restored_source) == ""


async def test_what_did_not_change_is_neither_read_nor_sent_again(site: Site) -> None:
    write_kinds(site.source / "kinds")
    make_old(site.source)
    await site.back_up()
    await site.back_up()  # what was young then
    runs = [await site.back_up() for _ in range(5)]
    assert [done.scanned.bytes_read for done in runs] == [0] * 5
    assert 0 in [done.sent.records for done in runs]  # a directory above may change beside a run
    assert await site.entries(2) == await site.entries(3)


async def test_what_gives_rights_comes_back_on_request_only(site: Site) -> None:
    site.source.rmdir()
    write_kinds(site.source)
    os.chmod(site.source / "created", 0o4755)
    os.chmod(site.source / "links", 0o3777)
    await site.back_up()
    restored = await site.restore()
    devices = {"block device", "character device"}
    assert {os.path.basename(path) for path, code in restored.missed.kept if code.startswith("device ")} == {
        os.fsencode(name) for name in devices
    }
    left_out = "set-user-id, set-group-id or capabilities left out (--privileged)"
    assert {os.path.basename(path) for path, code in restored.missed.kept if code == left_out} == {
        b"capable", b"created"
    }  # fmt: skip
    names = {path.name for path in site.restored_source.iterdir()}
    assert names == {path.name for path in site.source.iterdir()} - devices
    assert stat.S_IMODE((site.restored_source / "created").stat().st_mode) == 0o755
    assert stat.S_IMODE((site.restored_source / "links").stat().st_mode) == 0o3777
    assert "security.capability" not in os.listxattr(site.restored_source / "capable")


async def test_ten_thousand_names_of_a_file_are_read_and_written_once(site: Site) -> None:
    content = os.urandom(2 * MIB)
    directories = [site.source / f"{number:02}" for number in range(20)]
    for directory in directories:
        directory.mkdir()
    first = directories[0] / "0000"
    first.write_bytes(content)
    for number in range(1, 10_000):
        os.link(first, directories[number % 20] / f"{number:04}")
    done = await site.back_up()
    assert (done.scanned.files, done.scanned.bytes_read, done.scanned.protected_bytes) == (10_000, 2 * MIB, 2 * MIB)
    restored = await site.restore()
    assert (restored.files, restored.bytes, restored.missed.kept) == (10_000, 2 * MIB, [])
    inodes = {path.stat().st_ino for path in site.restored_source.glob("*/*")}
    assert len(inodes) == 1
    assert differences(site.source, site.restored_source) == ""


async def test_names_that_came_and_went_are_one_file_still(site: Site) -> None:
    """Links change the change time of all names of a file, and the names that a run counts."""
    for name in ("a", "b"):
        (site.source / name).write_bytes(name.encode() * 1000)
    for name in ("a2", "a3"):
        os.link(site.source / "a", site.source / name)
    make_old(site.source)
    await site.back_up()
    os.unlink(site.source / "a2")
    os.link(site.source / "a", site.source / "z")
    os.link(site.source / "b", site.source / "b2")
    await site.back_up()
    await site.restore()
    assert differences(site.source, site.restored_source) == ""
    restored = {name: (site.restored_source / name).stat() for name in ("a", "a3", "z", "b", "b2")}
    assert len({status.st_ino for status in restored.values()}) == 2


async def test_another_number_of_the_device_breaks_no_set(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a reboot: all names get another set, also those that did not change. The key stands for the number."""
    (site.source / "a").write_bytes(b"content")
    os.link(site.source / "a", site.source / "b")
    make_old(site.source)
    await site.back_up()
    await site.back_up()
    monkeypatch.setattr(backup, "link_set_key", lambda id_key: b"k" * 32)
    await site.back_up()
    sets = {entry.extras[Extra.LINK_SET] for entry in await site.entries(3) if entry.extras}
    assert len(sets) == 1
    assert sets != {entry.extras[Extra.LINK_SET] for entry in await site.entries(2) if entry.extras}


async def test_one_name_alone_comes_back_whole(site: Site) -> None:
    (site.source / "a").write_bytes(b"content")
    os.link(site.source / "a", site.source / "b")
    await site.back_up()
    restored = await site.restore([bytes(site.source / "b")])
    assert (restored.files, restored.missed.kept) == (1, [])
    assert (site.restored_source / "b").read_bytes() == b"content"


@pytest.mark.parametrize("number", [errno.EMLINK, errno.EXDEV, errno.EPERM])
async def test_where_no_link_can_be_made_each_name_is_a_file_and_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (site.source / "d").mkdir()
    (site.source / "d/a").write_bytes(b"content")
    for name in ("b", "c"):
        os.link(site.source / "d/a", site.source / "d" / name)
    make_old(site.source)
    await site.back_up()

    with monkeypatch.context() as patch:
        refuse_links(patch, number)
        restored = await site.restore()
    told = [(bytes(site.source / "d" / name)[1:], "not one file with its other names any more") for name in ("b", "c")]
    assert (restored.files, sorted(restored.missed.kept)) == (3, told)
    assert {path.read_bytes() for path in (site.restored_source / "d").iterdir()} == {b"content"}
    assert (site.restored_source / "d").stat().st_mtime_ns == OLD_NS


async def test_a_hole_of_a_tebibyte_costs_nothing(site: Site) -> None:
    path = site.source / "sparse"
    with path.open("wb") as file:
        file.seek(1 << 39)
        file.write(b"in the middle")
        file.truncate(1 << 40)
    (site.source / "all hole").touch()
    os.truncate(site.source / "all hole", 1 << 40)
    done = await site.back_up()
    assert (done.missed.kept, done.scanned.protected_bytes) == ([], 2 << 40)
    assert done.scanned.bytes_read <= 64 * 1024
    restored = await site.restore()
    assert restored.missed.kept == []
    for name in ("sparse", "all hole"):
        status = (site.restored_source / name).stat()
        assert (status.st_size, status.st_blocks <= 128) == (1 << 40, True)
        assert data_of(site.restored_source / name) == data_of(site.source / name)
    with (site.restored_source / "sparse").open("rb") as file:
        file.seek(1 << 39)
        assert file.read(13) == b"in the middle"
    again = await site.restore()
    assert (again.files, again.left, again.missed.kept) == (0, 2, [])


@pytest.mark.parametrize("holes_max", [100_000, 3])
async def test_holes_stay_holes(site: Site, monkeypatch: pytest.MonkeyPatch, holes_max: int) -> None:
    """Beyond the bound of a list the shortest are zero bytes."""
    chance = random.Random(4)
    for name, blocks in (("small", 60), ("large", 1500)):
        with (site.source / name).open("wb") as file:
            for block in range(blocks):
                if chance.random() < 0.4:
                    file.seek(block * BLOCK)
                    file.write(chance.randbytes(chance.choice([BLOCK, 100])))
            file.truncate(blocks * BLOCK + 77)
    real = holes.find_layout
    monkeypatch.setattr(read_file, "find_layout", lambda descriptor, size: real(descriptor, size, holes_max))
    await site.back_up()
    assert (await site.restore()).missed.kept == []
    assert differences(site.source, site.restored_source) == ""
    if holes_max > 3:
        for name in ("small", "large"):
            assert data_of(site.restored_source / name) == data_of(site.source / name)


async def test_a_sparse_file_that_shrinks_while_it_is_read_is_flagged(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = site.source / "file"
    with path.open("wb") as file:
        for offset in range(0, 40 * BLOCK, 4 * BLOCK):
            file.seek(offset)
            file.write(b"x" * BLOCK)
    real = read_file.read_stretches

    def shrinking(descriptor: int, stretches: Any) -> Any:
        os.truncate(path, path.stat().st_size - 4 * BLOCK)
        return real(descriptor, stretches)

    monkeypatch.setattr(read_file, "read_stretches", shrinking)
    done = await site.back_up()
    assert done.missed.kept == [(bytes(path)[1:], "changed while it was read")]
    await site.restore()
    restored = (site.restored_source / "file").read_bytes()
    whole = (b"x" * BLOCK + bytes(3 * BLOCK)) * 10
    assert len(restored) >= 20 * BLOCK
    assert restored == whole[: len(restored)]


@pytest.fixture
def deep_site(site: Site) -> Iterator[Site]:
    """What is too deep for those who clean up later is removed."""
    yield site
    subprocess.run(["rm", "-rf", site.source, site.target], check=True)


async def test_a_tree_deeper_than_any_path_comes_back(deep_site: Site) -> None:
    """1,000 directories, names of 100 bytes: 25 times the longest path that a call takes."""
    depth, name = 1_000, b"n" * 99

    def descend(top: Path, visit: Any) -> int:
        descriptor = os.open(top, os.O_RDONLY)
        for level in range(depth):
            visit(descriptor, level)
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        return descriptor

    last = descend(deep_site.source, lambda at, _: os.mkdir(name, 0o750, dir_fd=at))
    file = os.open(b"file", os.O_WRONLY | os.O_CREAT, 0o640, dir_fd=last)
    os.write(file, b"at the bottom")
    os.setxattr(file, "user.note", b"deep")
    os.close(file)
    os.symlink("elsewhere", b"link", dir_fd=last)
    os.close(last)
    assert (await deep_site.back_up()).missed.kept == []
    restored = await deep_site.restore()
    assert (restored.files, restored.missed.kept) == (1, [])
    modes: list[int] = []
    bottom = descend(
        deep_site.restored_source, lambda at, _: modes.append(stat.S_IMODE(os.stat(name, dir_fd=at).st_mode))
    )  # fmt: skip
    assert modes == [0o750] * depth
    file = os.open(b"file", os.O_RDONLY, dir_fd=bottom)
    assert (os.read(file, 100), os.getxattr(file, "user.note")) == (b"at the bottom", b"deep")
    assert os.readlink(b"link", dir_fd=bottom) == b"elsewhere"
    os.close(file)
    os.close(bottom)


def write_odd_names(root: Path) -> None:
    """Times of 1905, 1970, 2040 and 2120."""
    names = [b"\xff\xfe", b"\x1b[31m", b"-rf", b"a\\b", "é".encode(), "e\u0301".encode(), b"x" * 255]
    names += [bytes([number]) for number in range(1, 256) if number not in b"/."]
    for number, name in enumerate(names):
        path = root / os.fsdecode(name)
        path.write_bytes(name)
        os.utime(path, ns=(1, (-65, 0, 70, 150)[number % 4] * YEAR_NS + 123_456_789))
    (root / "link").symlink_to("nowhere")
    os.utime(root / "link", ns=(1, -65 * YEAR_NS + 7), follow_symlinks=False)
    os.utime(root, ns=(1, 150 * YEAR_NS + 1))


async def test_names_of_any_bytes_and_times_of_any_century_come_back(site: Site) -> None:
    write_odd_names(site.source)
    assert (await site.back_up()).missed.kept == []
    assert (await site.restore()).missed.kept == []
    assert differences(site.source, site.restored_source) == ""
    for path in site.source.iterdir():
        assert (site.restored_source / path.name).lstat().st_mtime_ns == path.lstat().st_mtime_ns


async def test_attributes_and_holes_that_fill_many_entries_are_all_there(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems take as many; the second run writes the entry anew from what the agent remembers."""
    many = {b"user.%04d" % number: os.urandom(50_000) for number in range(60)}
    path = site.source / "many"
    path.write_bytes(b"content")
    make_old(site.source)
    real = scan.read_attributes
    monkeypatch.setattr(scan, "read_attributes", lambda place: (many, None) if isinstance(place, int) else real(place))
    for _ in range(2):
        assert (await site.back_up()).missed.kept == []
    (site.source / "z").mkdir()
    await site.back_up()
    for sequence in (1, 3):
        (entry,) = [entry for entry in await site.entries(sequence) if entry.path == bytes(path)[1:]]
        assert (entry.extras, entry.size) == ({4: many}, 7)
