"""A file system that the kernel, or somebody, has made read-only: nothing is lost, and restores stay possible."""

import os
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Site, differences, run_program
from tests.real_disks.conftest import FILE_SYSTEMS, MIB, Mount, Place, run, unmount
from tests.vaultd.store.fakes import create, make_record, make_settings, read, records, reopen
from vaultd.store.disks.opening import lock_vault
from vaultd.store.errors import StoreBroken, StoreError


def failed_start(site: Site) -> str:
    done = run_program("vaultd", "serve", site.vault)
    assert done.exit_code == 1, done.error
    return done.error


def test_a_vault_on_a_file_system_that_breaks_reads_on_under_an_overlay(
    tmp_path: Path, mount: Mount, place: Place
) -> None:
    disk = mount("ext4", "disk")
    site = place(disk.path / "vault")
    site.start()
    disk.break_read_only()
    (site.source / "new").write_bytes(os.urandom(3 * MIB))
    done = site.run_agent("pc", "backup", "home")
    assert done.exit_code == 8
    assert "the store stopped after a disk error" in done.error
    assert site.wait() == 1
    assert f"{site.vault} is read-only" in failed_start(site)
    upper, work = tmp_path / "spare" / "upper", tmp_path / "spare" / "work"
    upper.mkdir(parents=True)
    work.mkdir()
    run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={site.vault},upperdir={upper},workdir={work}", site.vault)
    try:
        site.start()
        assert [path.name for path in site.restored_source("first").iterdir()] == ["old"]
        assert site.backup("pc", "home")["safeset"] == 2
        assert differences(site.source, site.restored_source("second")) == []
        assert site.stop() == 0
    finally:
        if site.daemon:
            site.kill()
        unmount(site.vault)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_a_read_only_disk_with_the_journal_ends_the_start_and_stays_as_it_is(
    tmp_path: Path, mount: Mount, kind: str, number: int
) -> None:
    disk = mount(kind, "disk")
    settings = make_settings(tmp_path, disks=2)
    (tmp_path / f"disk{number}").rmdir()
    (tmp_path / f"disk{number}").symlink_to(disk.path)
    store = create(settings)
    store.append(number, records(1))
    store.commit()
    store.close()
    disk.make_read_only()
    with pytest.raises(StoreError, match=f"disk{number} is read-only, and journal .* have to be written to it: copy"):
        reopen(settings)
    run("mount", "-o", "remount,rw", disk.path)
    assert read(reopen(settings), 1) == make_record(1)


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_a_read_only_disk_after_the_first_two_is_read_and_takes_no_more_records(
    tmp_path: Path, mount: Mount, kind: str
) -> None:
    disk = mount(kind, "disk")
    settings = make_settings(tmp_path, disks=3)
    (tmp_path / "disk2").rmdir()
    (tmp_path / "disk2").symlink_to(disk.path)
    store = create(settings)
    store.append(2, records(1))
    store.commit()
    if kind == "ext4":
        disk.break_read_only()
        store.append(2, records(3))
        with pytest.raises(StoreBroken, match="Read-only file system"):
            store.commit()
    store.close()
    if kind != "ext4":
        disk.make_read_only()
    store = reopen(settings)
    store.append(2, records(2))
    store.commit()
    store.close()
    reopened = reopen(settings)
    assert reopened.statistics().offline == []
    assert [read(reopened, seed) for seed in (1, 2)] == [make_record(1), make_record(2)]
    reopened.close()


def test_a_directory_that_is_read_only_is_named(tmp_path: Path, mount: Mount) -> None:
    home = mount("ext4", "home")
    home.make_read_only()
    with pytest.raises(StoreError, match=f"{home.path} is read-only, .*: copy it elsewhere"):
        lock_vault(home.path, [])
