"""A record that is damaged and was sent again is a note of the check and no damage: its other copy is read for that."""

import dataclasses
import os

import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import Site
from vaultd.operations.check import VaultReport, check_vault
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import RecordDamaged


def flip(site: Site, record: bytes, at: int = -1) -> None:
    for path in site.config.directory.glob("disk-*/containers/*/*"):
        data = bytearray(path.read_bytes())
        if record in data:
            data[data.index(record) + at % len(record)] ^= 1
            path.write_bytes(data)
            return
    raise AssertionError("it is in no container")


def check(site: Site) -> VaultReport:
    close_vault(site.vault)
    report = check_vault(site.config, SystemDoor(), read_data=True)
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    return report


class Resent:
    """A safeset of one chunk whose record is hit, found so by a read and sent again; a second safeset uses that."""

    def __init__(self, site: Site, at: int, *, is_sealed: bool = False) -> None:
        self.site = site
        if is_sealed:
            site.config = dataclasses.replace(site.config, container_bytes=64 * 1024)
            site.reopen()
        self.backed_up = site.ready()
        sealer = self.backed_up.sealer
        self.content = os.urandom(50)
        self.record = sealer.record(DATA, self.content)
        self.leaf = sealer.leaf([self.record])
        site.upload(self.backed_up, self.record, *self.leaf)
        payload = sealer.payload(self.leaf)
        self.root = sealer.root(self.leaf, payload)
        site.commit(self.backed_up, self.root, payload)
        if is_sealed:
            site.upload(self.backed_up, *(sealer.record(DATA, os.urandom(30_000)) for _ in range(3)))
            assert any(row.is_sealed for row in site.vault.store.containers())
        flip(site, self.record, at)
        self.read_damaged()

    def read_damaged(self) -> None:
        store = self.site.vault.store
        (location,) = store.locate(self.backed_up.sealer.keyring_id, [id_of(self.record)])
        assert location is not None
        with pytest.raises(RecordDamaged):
            store.read(location, id_of(self.record))

    def send_again(self) -> bytes:
        base = blake3(self.root).digest()
        assert not self.site.begin(self.backed_up, base=base).base_known
        sealer = self.backed_up.sealer
        again = sealer.record(DATA, self.content)
        self.site.upload(self.backed_up, again)
        payload = sealer.payload(self.leaf)
        self.site.commit(self.backed_up, sealer.root(self.leaf, payload, sequence=2, previous=base), payload)
        return again


CASES = {"open": (False, -1), "sealed": (True, -1), "sealed, its header": (True, 3)}


@pytest.mark.parametrize("case", CASES)
def test_a_damaged_record_that_was_sent_again_is_a_note(site: Site, case: str) -> None:
    is_sealed, at = CASES[case]
    resent = Resent(site, at, is_sealed=is_sealed)
    before = check(site)
    assert before.is_damaged
    resent.send_again()
    report = check(site)
    assert (report.is_damaged, [str(finding.severity) for finding in report.findings]) == (False, ["note"])
    (sentence,) = (finding.sentence for finding in report.findings)
    assert f"record {id_of(resent.record).hex()}" in sentence or "is damaged at offset" in sentence
    assert sentence.endswith("; other copies of what lay there took its place and are whole: nothing is lost")


def test_one_of_which_only_its_cid_is_known_stays_damage(site: Site) -> None:
    """In a container that is open the journal names cids alone, and the header does not say the id any more."""
    Resent(site, 3).send_again()
    assert check(site).is_damaged


@pytest.mark.parametrize("is_sealed", [False, True])
def test_a_damaged_record_whose_other_copy_is_damaged_too_is_damage(site: Site, is_sealed: bool) -> None:
    again = Resent(site, -1, is_sealed=is_sealed).send_again()
    flip(site, again)
    report = check(site)
    assert {str(finding.severity) for finding in report.findings} == {"damage"}
    job = "account acme, computer laptop, job home"
    assert any(finding.sentence.endswith(f"used by {job}, safesets 1-2") for finding in report.findings)
