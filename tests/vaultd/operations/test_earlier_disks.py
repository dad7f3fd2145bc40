"""A vault whose catalog has no list of disks, as programs before that table made it: the first start makes the list."""

import os
import re
import shutil
from pathlib import Path

import lmdb
import pytest

from tests.vaultd.operations.rich_site import Rich
from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import BackedUp, Site, make_site
from tests.vaultd.store.fakes import flip
from vaultd.catalog.database import Catalog
from vaultd.operations import disks, upload, vault
from vaultd.operations.check import check_vault
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor


@pytest.fixture
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Site, BackedUp, bytes]:
    """Stopped; with a record on the second disk. A program of then wrote no row of disks."""
    with monkeypatch.context() as then:
        then.setattr(vault, "keep_disks", lambda *_: None)
        site = make_site(tmp_path)
        backed_up = site.ready()
        then.setattr(upload, "home_disk_number", lambda *_: 1)
        record = backed_up.sealer.record(DATA, os.urandom(50))
        site.upload(backed_up, record)
        close_vault(site.vault)
    drop_table(site)
    return site, backed_up, record


def drop_table(site: Site, *, is_empty: bool = True) -> None:
    environment = lmdb.open(str(site.config.directory / "catalog"), max_dbs=64)
    table = environment.open_db(b"disks")
    with environment.begin(write=True) as transaction:
        assert (transaction.stat(table)["entries"] == 0) == is_empty
        transaction.drop(table, delete=True)
    environment.close()


def start(site: Site) -> None:
    site.vault = open_vault(site.config, site.clock, SystemDoor())


def rows(site: Site) -> list[tuple[int | None, str]]:
    return [(one.number, one.state) for one in disks.list_disks(site.vault).disks]


def lose(site: Site, number: int) -> Path:
    path = site.config.directory / f"disk-{number + 1}"
    shutil.rmtree(path)
    path.mkdir()
    return path


def is_missing(site: Site, backed_up: BackedUp, record: bytes) -> bool:
    (missing,) = site.vault.store.missing(backed_up.sealer.keyring_id, [id_of(record)])
    return missing


def test_its_catalog_is_read_without_the_table(earlier: tuple[Site, BackedUp, bytes]) -> None:
    site, _, _ = earlier
    catalog = Catalog.open_read_only(site.config.directory / "catalog")
    with catalog.read() as view:
        assert list(view.scan("disks")) == []
        assert {table for table, _, _ in view.rows()} >= {"accounts", "jobs"}
    catalog.close()
    assert check_vault(site.config, SystemDoor(), read_data=True).findings == []


def test_the_first_start_lists_those_that_are_here(earlier: tuple[Site, BackedUp, bytes]) -> None:
    site, backed_up, record = earlier
    start(site)
    assert rows(site) == [(0, "online"), (1, "online")]
    close_vault(site.vault)
    lose(site, 1)
    start(site)
    assert rows(site) == [(0, "online"), (1, "offline")]
    assert not is_missing(site, backed_up, record)
    close_vault(site.vault)


def test_a_full_disk_does_not_keep_the_vault_from_starting(
    earlier: tuple[Site, BackedUp, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, backed_up, record = earlier
    with monkeypatch.context() as full:
        full.setattr(SystemDoor, "space", lambda *_: (10**9, 0))
        start(site)
        assert rows(site) == [(0, "online"), (1, "online")]
        assert not is_missing(site, backed_up, record)
        site.vault.catalog.close()
        site.vault.store.close()
        site.vault.lock.close()
    assert listed(site) == 0
    start(site)
    close_vault(site.vault)
    assert listed(site) == 2


def listed(site: Site) -> int:
    """How many rows the list on disk has."""
    environment = lmdb.open(str(site.config.directory / "catalog"), max_dbs=64)
    with environment.begin() as transaction:
        count = int(transaction.stat(environment.open_db(b"disks", transaction))["entries"])
    environment.close()
    return count


def test_a_damaged_row_of_the_list_is_named(earlier: tuple[Site, BackedUp, bytes]) -> None:
    site, _, _ = earlier
    start(site)
    close_vault(site.vault)
    environment = lmdb.open(str(site.config.directory / "catalog"), max_dbs=64)
    table = environment.open_db(b"disks")
    with environment.begin(write=True) as transaction:
        key, _ = next(iter(transaction.cursor(table)))
        transaction.put(key, b"torn", db=table)
    environment.close()
    findings = check_vault(site.config, SystemDoor(), read_data=False).findings
    assert f"row {key.hex()} of its table disks does not hold" in "\n".join(one.sentence for one in findings)


def test_one_that_is_away_at_the_first_start_is_offline(earlier: tuple[Site, BackedUp, bytes], tmp_path: Path) -> None:
    site, backed_up, record = earlier
    second = site.config.directory / "disk-2"
    second.rename(tmp_path / "away")
    (identity,) = [one.disk_id for one in [*site.vault.store.disks.online] if one.number == 1]
    for _ in range(2):
        start(site)
        assert rows(site) == [(0, "online"), (None, "offline")]
        assert not is_missing(site, backed_up, record)
        (warning,) = disks.list_disks(site.vault).warnings
        assert "journal, checkpoints and erase keys are on one disk only" in warning
        close_vault(site.vault)
    (tmp_path / "away").rename(second)
    start(site)
    assert rows(site) == [(0, "online"), (1, "online")]
    close_vault(site.vault)
    second.rename(tmp_path / "away")
    start(site)
    assert disks.declare_lost(site.vault, site.operator, identity.hex()).state == "lost"
    assert is_missing(site, backed_up, record)
    close_vault(site.vault)


def replace_second(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a program of then, which kept no list."""
    second = site.config.directory / "disk-2"
    site.clock.advance(1000)
    second.rename(site.config.directory / "away")
    second.mkdir()
    (second / "disk.new").touch()
    with monkeypatch.context() as then:
        then.setattr(vault, "keep_disks", lambda *_: None)
        start(site)
        close_vault(site.vault)


def test_one_that_was_replaced_then_is_offline_until_an_operator_says_that_it_is_lost(
    earlier: tuple[Site, BackedUp, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one in its place tells nothing: it may be away for a repair, and the new one that of a third."""
    site, backed_up, record = earlier
    identity = (site.config.directory / "disk-2/disk.id").read_bytes()
    replace_second(site, monkeypatch)
    start(site)
    assert rows(site) == [(0, "online"), (1, "online"), (None, "offline")]
    assert not is_missing(site, backed_up, record)
    (old,) = [one for one in disks.list_disks(site.vault).disks if one.number is None]
    assert old.disk_id in identity
    assert disks.declare_lost(site.vault, site.operator, old.disk_id.hex()).state == "lost"
    assert is_missing(site, backed_up, record)
    close_vault(site.vault)


def test_one_that_was_replaced_then_is_told_with_the_command_that_says_so(
    earlier: tuple[Site, BackedUp, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, _, _ = earlier
    replace_second(site, monkeypatch)
    start(site)
    (old,) = [one.disk_id.hex() for one in disks.list_disks(site.vault).disks if one.number is None]
    command = f"if another one took its place, `vaultctl disk lost {old}` says so"
    (warning,) = disks.list_disks(site.vault).warnings
    assert command in warning
    assert command in "\n".join(finding.sentence for finding in site.vault.recovery.findings)
    close_vault(site.vault)


def test_the_hint_of_a_lost_disk_without_a_number_is_one_that_is_understood(
    earlier: tuple[Site, BackedUp, bytes], tmp_path: Path
) -> None:
    site, _, _ = earlier
    second = site.config.directory / "disk-2"
    second.rename(tmp_path / "away")
    start(site)
    (name,) = [one.disk_id.hex() for one in disks.list_disks(site.vault).disks if one.number is None]
    disks.declare_lost(site.vault, site.operator, name)
    close_vault(site.vault)
    (tmp_path / "away").rename(second)
    start(site)
    (said,) = re.findall(r"`vaultctl disk lost (\S+) --undo`", "\n".join(disks.list_disks(site.vault).warnings))
    disks.take_back(site.vault, site.operator, said)
    close_vault(site.vault)
    start(site)
    assert rows(site) == [(0, "online"), (1, "online")]
    close_vault(site.vault)


@pytest.mark.parametrize("loss", ["damaged", "gone"])
def test_one_whose_journal_lost_its_first_segment_starts(rich: Rich, loss: str) -> None:
    """What was applied of it long ago is in the catalog."""
    drop_table(rich.site, is_empty=False)
    for number in (1, 2):
        first = sorted((rich.directory / f"disk-{number}/journal").glob("*.journal"))[0]
        if loss == "gone":
            first.unlink()
        else:
            flip(first, 120)
    rich.open()
    rich.require_all_reads()
    close_vault(rich.site.vault)
