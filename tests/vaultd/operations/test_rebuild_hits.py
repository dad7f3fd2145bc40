"""A rebuild that found damage names whose safesets miss something: account, computer, job and numbers."""

import os
from pathlib import Path

import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import DATA
from tests.vaultd.operations.small_site import BackedUp, Site
from vaultd.operations.rebuild import RebuildReport, rebuild_vault
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.findings import Severity
from vaultd.store.index.reading_progress import tell_nobody


class Chain:
    """Four safesets of a job: `early` is in the first two, `late` in the fourth alone."""

    def __init__(self, site: Site, backed_up: BackedUp) -> None:
        sealer = backed_up.sealer
        self.early, always = (sealer.record(DATA, os.urandom(500)) for _ in range(2))
        self.late = b""
        previous = bytes(32)
        for sequence in (1, 2, 3, 4):
            if sequence > 1:
                site.begin(backed_up)
            if sequence == 4:
                self.late = sealer.record(DATA, os.urandom(500))
            chunks = {1: [self.early, always], 2: [self.early, always], 3: [always], 4: [always, self.late]}[sequence]
            leaf = sealer.leaf(chunks)
            site.upload(backed_up, *(chunk for chunk in chunks if chunk[24:40] == sealer.key_id), *leaf)
            payload = sealer.payload(leaf)
            root = sealer.root(leaf, payload, sequence=sequence, previous=previous)
            site.commit(backed_up, root, payload)
            site.end(backed_up)
            previous = blake3(root).digest()


def spoil(site: Site, record: bytes) -> Path:
    """A byte in the middle of where it lies."""
    for path in site.config.directory.glob("disk-*/containers/*/*.container"):
        data = bytearray(path.read_bytes())
        if (at := data.find(record)) >= 0:
            data[at + len(record) // 2] ^= 1
            path.write_bytes(data)
            return path
    raise AssertionError("the record is in no container")


def rebuilt(site: Site, *, index_only: bool = False) -> RebuildReport:
    close_vault(site.vault)
    report = rebuild_vault(site.config, site.clock, SystemDoor(), tell_nobody, index_only=index_only)
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    return report


@pytest.mark.parametrize("index_only", [False, True])
def test_what_is_hit_is_named(site: Site, index_only: bool) -> None:
    owner = site.administrator()
    laptop, desktop = site.ready(owner), site.ready(owner, "desktop")
    hit, also = Chain(site, laptop), Chain(site, desktop)
    places = {str(spoil(site, record)) for record in (hit.early, hit.late, also.late)}
    report = rebuilt(site, index_only=index_only)
    assert report.is_damaged
    named = {one.place: (one.severity, one.sentence) for one in report.findings if one.place not in places}
    many, one = "records that they use are missing or damaged", "records that it uses are missing or damaged"
    assert named == {
        "account acme, computer laptop, job home, safesets 1-2, 4": (
            Severity.damage,
            f"{many}: `vaultd check` names them",
        ),
        "account acme, computer desktop, job home, safeset 4": (
            Severity.damage,
            f"{one}: `vaultd check` names them",
        ),
    }


def test_a_whole_vault_has_nothing_to_name(site: Site) -> None:
    Chain(site, site.ready())
    assert rebuilt(site).findings == []
