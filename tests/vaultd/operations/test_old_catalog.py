"""A vault whose catalog an older program wrote, without checksums: nothing is lost, whatever the journal still has."""

import dataclasses
from pathlib import Path

import lmdb
import pytest

from tests.vaultd.operations.small_site import Site
from vaultd.errors import Internal
from vaultd.operations.check import check_vault
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor

CHECKSUM_BYTES = 8


def make_old(path: Path) -> None:
    """Format 1: the same tables, rows without what ends them now."""
    with lmdb.open(str(path), max_dbs=64, map_size=1 << 28) as environment:
        with environment.begin() as transaction:
            names = [name for name, _ in transaction.cursor()]
        databases = {name: environment.open_db(name) for name in names}
        with environment.begin(write=True) as transaction:
            for database in databases.values():
                for key, value in list(transaction.cursor(database)):
                    transaction.put(key, value[:-CHECKSUM_BYTES], db=database)
            transaction.put(b"format", b"1", db=databases[b"meta"])


def format_of(path: Path) -> bytes:
    with lmdb.open(str(path), max_dbs=64) as environment:
        meta = environment.open_db(b"meta")
        with environment.begin() as transaction:
            return transaction.get(b"format", db=meta)


def rows(site: Site) -> list[object]:
    with site.vault.catalog.read() as view:
        return list(view.rows())


@pytest.fixture
def old_site(site: Site) -> tuple[Site, list[object]]:
    """With a journal of several segments; its vault stands still."""
    close_vault(site.vault)
    site.config = dataclasses.replace(site.config, journal_segment_bytes=4096)
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    for number in range(20):
        site.administrator(f"account-{number}")
    site.ready(site.administrator("with-job"))
    expected = rows(site)
    close_vault(site.vault)
    make_old(site.config.directory / "catalog")
    return site, expected


def test_an_older_catalog_is_taken_over(old_site: tuple[Site, list[object]]) -> None:
    site, expected = old_site
    path = site.config.directory / "catalog"
    assert not check_vault(site.config, SystemDoor(), read_data=True).is_damaged
    assert format_of(path) == b"1"
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    assert site.vault.recovery.findings == []
    assert rows(site) == expected
    close_vault(site.vault)
    assert format_of(path) == b"2"
    site.vault = open_vault(site.config, site.clock, SystemDoor())


def test_an_older_catalog_outlives_the_begin_of_its_journal(old_site: tuple[Site, list[object]]) -> None:
    """Without checkpoint and oldest segment nothing else knows what happened first."""
    site, expected = old_site
    lost = [path for disk in site.config.disks for path in disk.glob("checkpoints/*.checkpoint")]
    lost += [disk / "journal" / "0000000000000001.journal" for disk in site.config.disks]
    kept = {path: path.read_bytes() for path in lost}
    for path in lost:
        path.unlink()
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    assert rows(site) == expected
    close_vault(site.vault)
    for path in [path for disk in site.config.disks for path in disk.glob("checkpoints/*.checkpoint")]:
        path.unlink()
    catalog = site.config.directory / "catalog"
    catalog.rename(catalog.with_name("away"))
    with pytest.raises(Internal):  # the loss of these tests is one that matters
        open_vault(site.config, site.clock, SystemDoor())
    for path, data in kept.items():
        path.write_bytes(data)
    site.vault = open_vault(site.config, site.clock, SystemDoor())


def test_damage_in_the_pages_of_an_older_catalog_is_noticed(old_site: tuple[Site, list[object]]) -> None:
    site, expected = old_site
    path = site.config.directory / "catalog" / "data.mdb"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 // 4096 * 4096])
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    assert rows(site) == expected
    assert [finding.place for finding in site.vault.recovery.findings] == [str(path.parent)]
