"""A full disk: new records are refused before anything is written, everything that reads goes on, and with room again
the agent goes on where it stopped.
"""

import os
import shutil
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Done, Site, differences, run_program
from tests.real_disks.conftest import FILE_SYSTEMS, MIB, Mount, Place, PlacedSite, RealDisk

RESERVE_BYTES = 64 * MIB  # as docs/operations.md promises
BUFFER_BYTES = 4 * MIB  # taken, not yet written when the next batch was refused
NEW_FILES, FILE_BYTES = 8, 2 * MIB
ROOM_BYTES = 9 * MIB  # above the reserve: for some of the new files


def add_files(source: Path) -> None:
    for number in range(NEW_FILES):
        (source / f"new-{number}").write_bytes(os.urandom(FILE_BYTES))


def assert_refused(done: Done) -> None:
    assert done.exit_code == 7, done.error
    assert "the vault has no room left" in done.error
    assert done.error.count("error:") == 1
    assert "Traceback" not in done.error
    assert done.last["code"] == "no_space"
    assert done.last["hint"] == "the operator makes room on a disk"


def move(directory: Path, target: Path) -> None:
    """To another file system, with a link in its place."""
    shutil.move(directory, target)
    directory.symlink_to(target)


def stored_bytes(site: Site) -> int:
    size: int = site.run_operator("status").last["record_bytes"]
    return size


def assert_everything_reads(site: PlacedSite) -> None:
    """Sign-in, lists, status and a restore of the first safeset."""
    assert site.run_operator("account", "list").exit_code == 0
    assert site.run_administrator("acme", "safeset", "list", "pc", "home").exit_code == 0
    assert site.run_agent("pc", "ls", "home", "--password-file", site.password("home")).exit_code == 0
    copy = site.restored_source("at-full")
    assert [path.name for path in copy.iterdir()] == ["old"]
    assert (copy / "old").read_bytes() == (site.source / "old").read_bytes()


def assert_goes_on(site: PlacedSite, kept_bytes: int) -> None:
    """What was acknowledged at full is not sent again."""
    done = site.backup("pc", "home")
    assert done["safeset"] == 2
    assert NEW_FILES * FILE_BYTES - done["uploaded_bytes"] >= kept_bytes - MIB
    assert differences(site.source, site.restored_source("after")) == []
    assert site.stop() == 0
    checked = site.check()
    assert (checked.exit_code, checked.last["findings"]) == (0, [])


def fill_and_go_on(site: PlacedSite, disk: RealDisk, room_bytes: int = ROOM_BYTES) -> None:
    site.start()
    disk.fill(RESERVE_BYTES + room_bytes)
    before = stored_bytes(site)
    add_files(site.source)
    for _ in range(2):
        assert_refused(site.run_agent("pc", "backup", "home"))
        assert disk.free_bytes() >= RESERVE_BYTES + min(0, room_bytes) - BUFFER_BYTES
    assert_everything_reads(site)
    kept = stored_bytes(site) - before
    disk.make_room()
    assert_goes_on(site, kept)


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_a_vault_whose_only_file_system_is_full_reads_on_and_goes_on_with_room(
    mount: Mount, place: Place, kind: str
) -> None:
    disk = mount(kind, "disk")
    fill_and_go_on(place(disk.path / "vault"), disk)


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_a_vault_starts_and_restores_with_nothing_free_or_says_why_not(mount: Mount, place: Place, kind: str) -> None:
    """Others took the reserve too. btrfs needs new blocks for each change, also of LMDB's lock file."""
    disk = mount(kind, "disk")
    site = place(disk.path / "vault")
    disk.fill_to_the_last_block()
    if kind == "btrfs":
        done = run_program("vaultd", "serve", site.vault)
        assert done.exit_code == 7
        assert f"the file system of {site.vault} is so full" in done.error
        disk.make_room()
    site.start()
    copy = site.restored_source("after")
    assert [path.name for path in copy.iterdir()] == ["old"]
    assert (copy / "old").read_bytes() == (site.source / "old").read_bytes()


def test_a_vault_whose_directory_is_full_refuses_although_its_disk_has_room(
    tmp_path: Path, mount: Mount, place: Place
) -> None:
    """Index and catalog would meet the end of the file system in the middle of a commit."""
    home = mount("ext4", "home")
    site = place(home.path / "vault")
    move(site.vault / "disk-1", tmp_path / "data")
    fill_and_go_on(site, home, room_bytes=-MIB)


def test_a_vault_whose_disk_is_full_refuses_although_its_directory_has_room(
    tmp_path: Path, mount: Mount, place: Place
) -> None:
    disk = mount("xfs", "disk")
    site = place(tmp_path / "vault")
    move(site.vault / "disk-1", disk.path / "data")
    fill_and_go_on(site, disk)
