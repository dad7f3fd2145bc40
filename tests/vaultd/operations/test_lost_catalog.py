"""A lost catalog comes back from the newest whole checkpoint and the journal after it."""

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.vaultd.operations.small_site import Site
from tests.vaultd.store.fakes import flip
from vaultd.catalog.database import Catalog
from vaultd.errors import Damaged, Internal
from vaultd.operations import accounts
from vaultd.operations.vault import close_vault, open_vault, write_checkpoint
from vaultd.store.disk_door import SystemDoor
from vaultd.store.index import checkpoint as checkpoints
from vaultd.store.position import Position


@pytest.fixture
def long_site(site: Site) -> Site:
    """A journal of many segments, and a checkpoint in its middle."""
    close_vault(site.vault)
    site.config = dataclasses.replace(site.config, journal_segment_bytes=4096)
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    for number in range(20):
        site.administrator(f"before-{number}")
    write_checkpoint(site.vault)
    for number in range(20):
        site.administrator(f"after-{number}")
    return site


def rows(site: Site) -> list[object]:
    with site.vault.catalog.read() as view:
        return list(view.rows())


def lose_catalog(site: Site) -> None:
    """As after a sudden end: without the checkpoint that closing writes."""
    site.vault.catalog.close()
    site.vault.store.close()
    site.vault.lock.close()
    shutil.rmtree(site.config.directory / "catalog")


def disk_files(site: Site, pattern: str) -> list[Path]:
    return sorted(path for disk in site.config.disks for path in disk.glob(pattern))


def damage_oldest_segments(site: Site) -> None:
    for path in disk_files(site, "journal/0000000000000001.journal"):
        flip(path, path.stat().st_size // 2)


def test_damage_in_the_journal_before_the_checkpoint_costs_nothing(long_site: Site) -> None:
    expected = rows(long_site)
    assert len(disk_files(long_site, "journal/*.journal")) > 8
    lose_catalog(long_site)
    damage_oldest_segments(long_site)
    long_site.vault = open_vault(long_site.config, long_site.clock, SystemDoor())
    assert rows(long_site) == expected
    names = {account.name for account in accounts.list_all(long_site.vault)}
    assert names == {f"{when}-{number}" for when in ("before", "after") for number in range(20)}


def test_an_older_checkpoint_or_the_journal_alone_does_it_too(long_site: Site) -> None:
    expected = rows(long_site)
    paths = disk_files(long_site, "checkpoints/*.checkpoint")
    for path in reversed(paths):
        lose_catalog(long_site)
        flip(path, path.stat().st_size // 2)
        long_site.vault = open_vault(long_site.config, long_site.clock, SystemDoor())
        assert rows(long_site) == expected


def test_without_checkpoint_and_whole_journal_the_start_is_refused(long_site: Site) -> None:
    """The damage of these tests is one that matters."""
    lose_catalog(long_site)
    damage_oldest_segments(long_site)
    paths = disk_files(long_site, "checkpoints/*.checkpoint")
    for path in paths:
        path.rename(path.with_suffix(".away"))
    with pytest.raises(Internal, match="damaged"):
        open_vault(long_site.config, long_site.clock, SystemDoor())
    for path in paths:
        path.with_suffix(".away").rename(path)
    long_site.vault = open_vault(long_site.config, long_site.clock, SystemDoor())


def write_foreign(site: Site, number: int) -> None:
    directories = site.vault.store.disks.copy_directories("checkpoints")
    header = checkpoints.CheckpointHeader(site.made.vault_id, Position(1, number, b"x" * 32), 0)
    checkpoints.write_checkpoint(SystemDoor(), directories, header, [("accounts", b"a", b"foreign")])


def test_a_checkpoint_of_another_journal_is_passed_over(long_site: Site) -> None:
    """The one before it is taken: without it the damage would end the start."""
    write_foreign(long_site, long_site.vault.store.position.number)
    expected = rows(long_site)
    lose_catalog(long_site)
    damage_oldest_segments(long_site)
    long_site.vault = open_vault(long_site.config, long_site.clock, SystemDoor())
    assert rows(long_site) == expected


def test_one_that_is_ahead_of_the_journal_tells_that_entries_are_lost(long_site: Site) -> None:
    write_foreign(long_site, long_site.vault.store.position.number + 1)
    lose_catalog(long_site)
    with pytest.raises(Damaged, match="checkpoint has applied entry"):
        open_vault(long_site.config, long_site.clock, SystemDoor())
    for path in disk_files(long_site, "checkpoints/*.checkpoint"):
        path.unlink()
    long_site.vault = open_vault(long_site.config, long_site.clock, SystemDoor())


def test_one_of_a_longer_history_that_lost_is_passed_over(site: Site) -> None:
    """Each disk was used without the other; the catalog decided, and is lost afterwards."""
    directory = site.config.directory
    close_vault(site.vault)
    with only_disk(directory, 1):
        site.vault = open_vault(site.config, site.clock, SystemDoor())
        for number in range(6):
            site.administrator(f"first-{number}")
        close_vault(site.vault)
    for name in ("index", "catalog"):
        shutil.rmtree(directory / name)
    with only_disk(directory, 2):
        site.vault = open_vault(site.config, site.clock, SystemDoor())
        site.administrator("second")
        close_vault(site.vault)
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    expected = rows(site)
    assert {account.name for account in accounts.list_all(site.vault)} == {"second"}
    lose_catalog(site)
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    assert rows(site) == expected


@contextmanager
def only_disk(directory: Path, number: int) -> Iterator[None]:
    """The other one is away."""
    other = directory / f"disk-{3 - number}"
    other.rename(directory / "away")
    other.mkdir()
    yield
    other.rmdir()
    (directory / "away").rename(other)


def test_a_load_that_was_broken_off_begins_anew(long_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rows(long_site)
    lose_catalog(long_site)
    monkeypatch.setattr("vaultd.catalog.database.CATCH_UP_CHANGES", 10)
    apply, calls = Catalog.apply, []

    def broken(catalog: Catalog, changes: object, position: object) -> None:
        calls.append(position)
        if len(calls) == 3:
            raise KeyboardInterrupt
        apply(catalog, changes, position)

    with monkeypatch.context() as patched:
        patched.setattr(Catalog, "apply", broken)
        with pytest.raises(KeyboardInterrupt):
            open_vault(long_site.config, long_site.clock, SystemDoor())
    long_site.vault = open_vault(long_site.config, long_site.clock, SystemDoor())
    assert rows(long_site) == expected
