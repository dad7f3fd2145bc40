"""Opening and closing: the catalog follows the journal, a second daemon is refused, a failed step stops all writing."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from tests.vaultd.operations.sealing import DATA
from tests.vaultd.operations.small_site import Site, make_site
from vaultd.catalog.database import Catalog, Position
from vaultd.errors import Conflict, Damaged, Internal, NotFound, Unavailable
from vaultd.operations import accounts, ledger, status
from vaultd.operations.check import check_vault
from vaultd.operations.vault import close_vault, open_vault, write_checkpoint
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import StoreError


def rows(site: Site) -> list[object]:
    with site.vault.catalog.read() as view:
        return list(view.rows())


def test_a_catalog_that_is_older_than_the_journal_catches_up(site: Site, tmp_path: Path) -> None:
    site.administrator("first")
    catalog = site.config.directory / "catalog"
    close_vault(site.vault)
    shutil.copytree(catalog, tmp_path / "old")
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    site.ready(site.administrator("second"))
    expected = rows(site)
    close_vault(site.vault)
    shutil.rmtree(catalog)
    shutil.copytree(tmp_path / "old", catalog)
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    assert rows(site) == expected


def test_an_empty_catalog_is_filled_from_the_journal(site: Site) -> None:
    site.ready()
    expected = rows(site)
    close_vault(site.vault)
    shutil.rmtree(site.config.directory / "catalog")
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    assert rows(site) == expected


def test_a_catalog_of_another_journal_is_refused(site: Site, tmp_path: Path) -> None:
    close_vault(site.vault)
    catalog = Catalog.open(site.config.directory / "catalog")
    position = catalog.position()
    catalog.apply([], Position(1, position.number, b"x" * 32))
    catalog.close()
    with pytest.raises(Damaged, match=f"does not belong to this journal: entry {position.number} differs"):
        open_vault(site.config, site.clock, SystemDoor())
    shutil.rmtree(site.config.directory / "catalog")
    site.vault = open_vault(site.config, site.clock, SystemDoor())


@pytest.mark.parametrize("ahead", [1, 2, 1000])
def test_a_catalog_that_is_ahead_of_the_journal_is_refused(site: Site, ahead: int) -> None:
    close_vault(site.vault)
    catalog = Catalog.open(site.config.directory / "catalog")
    number = catalog.position().number + ahead
    catalog.apply([], Position(1, number, b"x" * 32))
    catalog.close()
    journals = sorted(site.config.directory.glob("disk-*/journal/*"))
    before = [path.read_bytes() for path in journals]
    with pytest.raises(Internal, match=rf"entry {number} was acknowledged \(the catalog has applied it\)"):
        open_vault(site.config, site.clock, SystemDoor())
    assert [path.read_bytes() for path in journals] == before
    shutil.rmtree(site.config.directory / "catalog")
    site.vault = open_vault(site.config, site.clock, SystemDoor())


def test_a_lost_index_cuts_nothing_that_the_catalog_has_applied(site: Site) -> None:
    close_vault(site.vault)
    shutil.rmtree(site.config.directory / "index")
    journals = sorted(site.config.directory.glob("disk-*/journal/*"))
    for path in journals:
        data = bytearray(path.read_bytes())
        data[-20] ^= 1
        path.write_bytes(data)
    before = [path.read_bytes() for path in journals]
    with pytest.raises(Internal, match="the catalog has applied it"):
        open_vault(site.config, site.clock, SystemDoor())
    assert [path.read_bytes() for path in journals] == before
    for path in journals:
        data = bytearray(path.read_bytes())
        data[-20] ^= 1
        path.write_bytes(data)
    site.vault = open_vault(site.config, site.clock, SystemDoor())


def test_journal_then_catalog_then_answer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step sees the one before done and the one after not begun."""
    steps: list[str] = []
    commit, apply = type(site.vault.store).commit, Catalog.apply

    def watched_commit(store: object, entries: object = ()) -> object:
        position = commit(site.vault.store, entries)
        assert site.vault.catalog.position().number < position.number
        steps.append("journal")
        return position

    def watched_apply(catalog: Catalog, changes: object, position: Position) -> None:
        assert site.vault.store.position.number == position.number
        apply(catalog, changes, position)
        steps.append("catalog")

    monkeypatch.setattr(type(site.vault.store), "commit", watched_commit)
    monkeypatch.setattr(Catalog, "apply", watched_apply)
    accounts.create_account(site.vault, site.operator, "acme")
    steps.append("answer")
    assert steps == ["journal", "catalog", "answer"]


def test_a_failed_journal_leaves_the_catalog_alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(store: object, entries: object = ()) -> None:
        raise StoreError("the disk says no")

    before = rows(site)
    monkeypatch.setattr(type(site.vault.store), "commit", fail)
    with pytest.raises(Internal, match="the disk says no"):
        accounts.create_account(site.vault, site.operator, "acme")
    assert rows(site) == before


def test_a_failed_catalog_stops_writing_and_the_next_start_catches_up(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The act is in the journal, so it happened, though nobody was told."""

    def fail(catalog: Catalog, rows: object, position: object) -> None:
        raise Unavailable("the catalog cannot be written")

    with monkeypatch.context() as patched:
        patched.setattr(Catalog, "_write_rows", fail)
        with pytest.raises(Unavailable):
            accounts.create_account(site.vault, site.operator, "acme")
    number = site.vault.store.position.number
    with pytest.raises(Unavailable, match="the catalog stopped"):
        accounts.create_account(site.vault, site.operator, "beta")
    assert site.vault.store.position.number == number
    site.crash()
    assert [account.name for account in accounts.list_all(site.vault)] == ["acme"]


def test_an_idle_commit_writes_nothing(site: Site) -> None:
    before = site.vault.store.position
    assert ledger.write(site.vault) == before
    assert site.vault.store.position == before


def test_a_second_daemon_is_refused(site: Site) -> None:
    with pytest.raises(Conflict, match="in use by another vaultd"):
        open_vault(site.config, site.clock, SystemDoor())


def test_a_copied_vault_directory_is_refused_and_touches_nothing(site: Site, tmp_path: Path) -> None:
    """It names the same disks: its recovery would cut what the running daemon is writing."""
    site.ready()
    copy = tmp_path / "copy"
    shutil.copytree(site.config.directory, copy, ignore=shutil.ignore_patterns("disk-*"))
    config = dataclasses.replace(site.config, directory=copy)
    state = {path: path.stat().st_mtime_ns for disk in config.disks for path in disk.rglob("*")}
    with pytest.raises(Conflict, match="disk-1 is in use by another vaultd"):
        open_vault(config, site.clock, SystemDoor())
    with pytest.raises(Conflict, match="disk-1 is in use by another vaultd"):
        check_vault(config, SystemDoor(), read_data=False)
    assert {path: path.stat().st_mtime_ns for disk in config.disks for path in disk.rglob("*")} == state


def test_a_missing_or_foreign_key_file_is_named(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    close_vault(site.vault)
    directory = site.config.directory
    (directory / "vault.id").write_text("not hex\n")
    with pytest.raises(Damaged, match="vault.id does not hold"):
        open_vault(site.config, site.clock, SystemDoor())
    (directory / "vault.id").write_text(site.made.vault_id.hex())
    (directory / "signing.key").write_bytes((directory / "authority.key").read_bytes())
    with pytest.raises(Damaged, match="signing.key does not hold an Ed25519 key"):
        open_vault(site.config, site.clock, SystemDoor())
    (directory / "signing.key").unlink()
    with pytest.raises(NotFound, match="signing.key is missing"):
        open_vault(site.config, site.clock, SystemDoor())


def test_closing_writes_a_checkpoint_on_two_disks(site: Site) -> None:
    site.administrator()
    position = write_checkpoint(site.vault)
    for disk in ("disk-1", "disk-2"):
        names = [path.name for path in (site.config.directory / disk / "checkpoints").iterdir()]
        assert f"{position.number:016x}.checkpoint" in names
    site.reopen()


def test_a_key_made_while_a_disk_was_away_comes_onto_both_disks(site: Site) -> None:
    """Otherwise the loss of the first disk would make everything of the job unreadable."""
    away, gone = site.config.directory / "disk-2", site.config.directory / "gone"
    administrator = site.administrator()
    agent = site.agent(administrator)
    close_vault(site.vault)
    away.rename(gone)
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    job = site.job(administrator, agent)
    close_vault(site.vault)
    gone.rename(away)
    report = check_vault(site.config, SystemDoor(), read_data=False)
    assert "every good copy of this erase key lies on one disk" in [one.sentence for one in report.findings]
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    name = f"{job.job_id.hex()}.key"
    first = site.config.directory / "disk-1" / "erase-keys" / name
    assert (away / "erase-keys" / name).read_bytes() == first.read_bytes()
    assert [one.place for one in site.vault.recovery.findings if "erase key" in one.sentence] == [
        str(away / "erase-keys" / name)
    ]


def test_status_counts_what_is_there(site: Site) -> None:
    backed_up = site.ready()
    record = backed_up.sealer.record(DATA, b"x" * 1000)
    site.upload(backed_up, record)
    found = status.vault_status(site.vault, "1.2.3", 7)
    assert (found.accounts, found.computers, found.jobs, found.safesets, found.runs_active) == (1, 1, 1, 0, 1)
    assert (found.name, found.place, found.version, found.connections) == ("north", "Huellhorst", "1.2.3", 7)
    assert (found.records, found.containers, len(found.disks)) == (1, 1, 2)
    assert found.journal_number == site.vault.store.position.number
