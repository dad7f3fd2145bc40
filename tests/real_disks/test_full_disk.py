"""A full disk: new records are refused before anything is written, everything that reads goes on, and with room again
the agent goes on where it stopped.
"""

import os
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Done, Site, differences, restored
from tests.real_disks.conftest import FILE_SYSTEMS, MIB, Mount, RealDisk, StopAfter

RESERVE_BYTES = 64 * MIB  # as docs/operations.md promises
BUFFER_BYTES = 4 * MIB  # taken, not yet written when the next batch was refused
NEW_FILES, FILE_BYTES = 8, 2 * MIB
ROOM_BYTES = 9 * MIB  # above the reserve: for some of the new files


def prepare(site: Site, source: Path) -> None:
    """One account, one computer and one job with a safeset."""
    source.mkdir()
    (source / "old").write_bytes(os.urandom(MIB))
    site.start()
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "home", source)
    assert site.backup("pc", "home")["safeset"] == 1


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


def stored_bytes(site: Site) -> int:
    size: int = site.run_operator("status").last["record_bytes"]
    return size


def assert_everything_reads(site: Site, target: Path, source: Path) -> None:
    """Sign-in, lists, status and a restore of the first safeset."""
    assert site.run_operator("account", "list").exit_code == 0
    assert site.run_administrator("acme", "safeset", "list", "pc", "home").exit_code == 0
    assert site.run_agent("pc", "ls", "home", "--password-file", site.password("home")).exit_code == 0
    site.restore("pc", "home", target)
    assert (restored(target, source) / "old").read_bytes() == (source / "old").read_bytes()


def assert_goes_on(site: Site, source: Path, target: Path, stored_before: int, stored_at_full: int) -> None:
    done = site.backup("pc", "home")
    assert done["safeset"] == 2
    new = NEW_FILES * FILE_BYTES
    assert new - done["uploaded_bytes"] >= stored_at_full - stored_before - MIB
    site.restore("pc", "home", target)
    assert differences(source, restored(target, source)) == []
    assert site.stop() == 0
    checked = site.check()
    assert (checked.exit_code, checked.last["findings"]) == (0, [])


def fill_and_go_on(site: Site, disk: RealDisk, tmp_path: Path, room_bytes: int = ROOM_BYTES) -> None:
    source = tmp_path / "source"
    prepare(site, source)
    disk.fill(RESERVE_BYTES + room_bytes)
    before = stored_bytes(site)
    add_files(source)
    assert_refused(site.run_agent("pc", "backup", "home"))
    assert disk.free_bytes() >= RESERVE_BYTES - BUFFER_BYTES
    assert_refused(site.run_agent("pc", "backup", "home"))
    assert disk.free_bytes() >= RESERVE_BYTES - BUFFER_BYTES
    assert_everything_reads(site, tmp_path / "at-full", source)
    at_full = stored_bytes(site)
    disk.make_room()
    assert_goes_on(site, source, tmp_path / "after", before, at_full)


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_a_vault_whose_only_file_system_is_full_reads_on_and_goes_on_with_room(
    tmp_path: Path, mount: Mount, stop_after: StopAfter, kind: str
) -> None:
    disk = mount(kind, "disk")
    fill_and_go_on(stop_after(Site(tmp_path, vault=disk.path / "vault")), disk, tmp_path)


def test_a_vault_whose_directory_is_full_refuses_although_its_disk_has_room(
    tmp_path: Path, mount: Mount, stop_after: StopAfter
) -> None:
    """Index and catalog would meet the end of the file system in the middle of a commit."""
    home = mount("ext4", "home")
    site = stop_after(Site(tmp_path, vault=home.path / "vault", disk_paths=[tmp_path / "data"]))
    fill_and_go_on(site, home, tmp_path, room_bytes=-MIB)


def test_a_vault_whose_disk_is_full_refuses_although_its_directory_has_room(
    tmp_path: Path, mount: Mount, stop_after: StopAfter
) -> None:
    disk = mount("xfs", "disk")
    fill_and_go_on(stop_after(Site(tmp_path, disk_paths=[disk.path / "data"])), disk, tmp_path)
