"""The offline check: silent about a good vault, and naming what is wrong in a bad one."""

import re
from collections.abc import Callable

import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import BackedUp, Site
from vaultd.catalog.database import Catalog
from vaultd.errors import Conflict
from vaultd.operations.check import VaultReport, check_vault
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor


def filled(site: Site) -> tuple[BackedUp, bytes]:
    """Two safesets of one job, and the id of a chunk that both use."""
    backed_up = site.ready()
    sealer = backed_up.sealer
    chunks = [sealer.record(DATA, bytes([number]) * 500) for number in range(3)]
    leaf = sealer.leaf(chunks)
    site.upload(backed_up, *chunks, *leaf)
    previous = bytes(32)
    for sequence in (1, 2):
        if sequence > 1:
            site.begin(backed_up)
        payload = sealer.payload(leaf)
        root = sealer.root(leaf, payload, sequence=sequence, previous=previous)
        site.commit(backed_up, root, payload)
        previous = blake3(root).digest()
    return backed_up, id_of(chunks[1])


def check(site: Site) -> VaultReport:
    close_vault(site.vault)
    report = check_vault(site.config, SystemDoor(), read_data=True)
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    return report


def change_rows(site: Site, table: str, change: Callable[[bytes], bytes | None]) -> None:
    catalog: Catalog = site.vault.catalog
    with catalog.read() as view:
        found = list(view.scan(table))
    catalog.apply([(table, key, change(value)) for key, value in found], catalog.position())


def flip(at: int) -> Callable[[bytes], bytes]:
    def change(value: bytes) -> bytes:
        data = bytearray(value)
        data[at] ^= 1
        return bytes(data)

    return change


def test_a_good_vault_has_no_findings(site: Site) -> None:
    filled(site)
    report = check(site)
    assert report.findings == []
    assert not report.is_damaged
    assert (report.jobs, report.counts.records_in_containers) == (1, 7)


def test_a_running_vault_is_not_checked(site: Site) -> None:
    with pytest.raises(Conflict, match="in use by another vaultd"):
        check_vault(site.config, SystemDoor(), read_data=False)


@pytest.mark.parametrize(
    ("table", "change", "sentence"),
    [
        ("run_keys", flip(-20), "run_key [0-9a-f]{32} cannot be read"),
        ("run_key_owners", lambda value: None, "is missing"),
        ("slots", flip(150), "no copy of slot [0-9a-f]{32} can be read"),
        ("slots", lambda value: None, "it has no slot"),
        ("keyrings", lambda value: None, "its keyring [0-9a-f]{32} is not in the catalog"),
        ("runs", lambda value: None, "its run [0-9a-f]{32} is not in the catalog"),
        ("safesets", flip(200), "signature does not hold"),
        ("safesets", lambda value: None, "its head is safeset 2, but the newest one here is 0"),
    ],
)
def test_a_catalog_that_cannot_keep_its_promises_is_damaged(
    site: Site, table: str, change: Callable[[bytes], bytes | None], sentence: str
) -> None:
    filled(site)
    change_rows(site, table, change)
    report = check(site)
    assert report.is_damaged
    assert any(re.search(sentence, finding.sentence) for finding in report.findings)


def test_a_record_without_its_index_row_is_named_once_with_every_safeset(site: Site) -> None:
    _, lost = filled(site)
    with site.vault.store._index._environment.begin(write=True) as transaction:
        database = site.vault.store._index._records
        (key,) = [key for key, _ in transaction.cursor(database) if key[4:] == lost]
        transaction.delete(key, db=database)
    report = check(site)
    job = "account acme, computer laptop, job home"
    (named,) = [finding.sentence for finding in report.findings if lost.hex() in finding.sentence]
    assert named == f"record {lost.hex()} is missing: no row leads to it; used by {job}, safesets 1-2"
    assert {f"{job}, safeset 1", f"{job}, safeset 2"} == {finding.place for finding in report.findings[1:]}


def test_an_erase_key_that_is_gone_is_damage(site: Site) -> None:
    filled(site)
    for path in site.config.directory.rglob("erase-keys/*"):
        path.unlink()
    assert check(site).is_damaged


def test_what_a_later_version_wrote_ends_the_check_with_its_sentence(site: Site) -> None:
    filled(site)
    close_vault(site.vault)
    path = max(site.config.disks[1].glob("checkpoints/*.checkpoint"))
    before = path.read_bytes()
    head = before[:4] + b"\2" + before[5:120]
    path.write_bytes(head + blake3(head).digest()[:8] + before[128:])
    with pytest.raises(Conflict, match=f"{path}.* version 2 was written by a later version"):
        check_vault(site.config, SystemDoor(), read_data=False)
    path.write_bytes(before)
    site.vault = open_vault(site.config, site.clock, SystemDoor())


def test_a_catalog_that_is_gone_is_only_a_warning(site: Site) -> None:
    filled(site)
    close_vault(site.vault)
    for path in (site.config.directory / "catalog").iterdir():
        path.unlink()
    (site.config.directory / "catalog").rmdir()
    report = check_vault(site.config, SystemDoor(), read_data=False)
    assert [finding.severity.value for finding in report.findings] == ["warning"]
    site.vault = open_vault(site.config, site.clock, SystemDoor())
