"""The offline check of what lies under a run key that was given up: damaged as long as the key does not open."""

import os
from pathlib import Path

import pytest

from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import BackedUp, Site
from vaultd.daemon.check import EXIT_DAMAGE, EXIT_OK, exit_code, summarise
from vaultd.operations import dead_keys
from vaultd.operations.check import VaultReport, check_vault
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.findings import Severity


class GivenUp:
    """A vault with one safeset, whose run key was given up while no copy of its erase key was there. `chunk` is one of
    its records, `other` another.
    """

    def __init__(self, site: Site, away: Path) -> None:
        self.site = site
        self.backed_up: BackedUp = site.ready()
        sealer = self.backed_up.sealer
        self.chunk, self.other = (sealer.record(DATA, os.urandom(50)) for _ in range(2))
        leaf = sealer.leaf([self.chunk, self.other])
        site.upload(self.backed_up, self.chunk, self.other, *leaf)
        payload = sealer.payload(leaf)
        site.commit(self.backed_up, sealer.root(leaf, payload), payload)
        self._away = {path: away / str(number) for number, path in enumerate(self._erase_keys())}
        for path, moved in self._away.items():
            path.rename(moved)
        site.vault.judged_keys.clear()
        who = self.backed_up.agent.identity, self.backed_up.job.job_id
        dead_keys.settle_keys(site.vault, *who, dead_keys.judge_keys(site.vault, *who))

    def _erase_keys(self) -> list[Path]:
        return sorted(self.site.config.directory.glob(f"disk-*/erase-keys/{self.backed_up.job.job_id.hex()}*"))

    def bring_back(self) -> None:
        for path, moved in self._away.items():
            moved.rename(path)

    def check(self) -> VaultReport:
        close_vault(self.site.vault)
        report = check_vault(self.site.config, SystemDoor(), read_data=True)
        self.site.vault = open_vault(self.site.config, self.site.clock, SystemDoor())
        return report

    def missing(self) -> list[bool]:
        ids = [id_of(self.chunk), id_of(self.other)]
        return self.site.vault.store.missing(self.backed_up.sealer.keyring_id, ids)


@pytest.fixture
def given_up(site: Site, tmp_path: Path) -> GivenUp:
    away = tmp_path / "away"
    away.mkdir()
    return GivenUp(site, away)


def code(report: VaultReport) -> int:
    return exit_code(summarise(report, read_data=True))


def test_what_lies_under_a_key_that_does_not_open_is_damage(given_up: GivenUp) -> None:
    report = given_up.check()
    assert code(report) == EXIT_DAMAGE
    assert any("its payload" in finding.sentence for finding in report.findings)
    (named,) = [finding.sentence for finding in report.findings if "run keys do not open" in finding.sentence]
    assert "; it hits 4 records: " in named, "all but the companion"


def test_what_lies_under_a_key_that_opens_again_is_whole(given_up: GivenUp) -> None:
    """The disk with its erase key came back, and the computer that would begin a run is gone."""
    given_up.bring_back()
    report = given_up.check()
    (note,) = report.findings
    assert (note.severity, code(report)) == (Severity.note, EXIT_OK)
    assert note.sentence.startswith("a run key that was given up opens again: ")
    assert given_up.missing() == [True, True], "the check changes nothing"


def test_damage_that_was_read_stays_damage_where_the_key_opens_again(given_up: GivenUp) -> None:
    store = given_up.site.vault.store
    (location,) = store.locate(given_up.backed_up.sealer.keyring_id, [id_of(given_up.other)])
    assert location is not None
    store._notes.note_damage(id_of(given_up.other), location)
    store.commit()
    given_up.bring_back()
    report = given_up.check()
    assert code(report) == EXIT_DAMAGE
    named = " ".join(finding.sentence for finding in report.findings)
    assert id_of(given_up.other).hex() in named
    assert id_of(given_up.chunk).hex() not in named


@pytest.mark.parametrize("table", ["run_keys", "run_key_owners"])
def test_a_key_that_the_catalog_lacks_does_not_open(given_up: GivenUp, table: str) -> None:
    given_up.bring_back()
    catalog = given_up.site.vault.catalog
    with catalog.read() as view:
        rows, position = list(view.scan(table)), view.position()
    catalog.apply([(table, key, None) for key, _ in rows], position)
    report = given_up.check()
    assert code(report) == EXIT_DAMAGE
    assert not any("opens again" in finding.sentence for finding in report.findings)
