"""A mark that an erase key was erased for ever, on a disk of a history that another one won against."""

import shutil
from pathlib import Path

import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import DATA
from tests.vaultd.operations.small_site import PROOF, Site, make_site
from tests.vaultd.operations.test_keyring_slots import change_of, opened
from vaultd.errors import NotFound
from vaultd.operations import keyring_slots
from vaultd.operations.check import check_vault
from vaultd.operations.disks import complete_keys
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.erase_keys.file import Owner, OwnerKind
from vaultd.store.findings import Severity

KINDS = list(OwnerKind)


def disk(site: Site, number: int) -> Path:
    return site.config.directory / f"disk-{number}"


def take_away(site: Site, number: int) -> None:
    disk(site, number).rename(site.config.directory.parent / f"away-{number}")
    disk(site, number).mkdir()


def bring_back(site: Site, number: int) -> None:
    shutil.rmtree(disk(site, number))
    (site.config.directory.parent / f"away-{number}").rename(disk(site, number))


def start(site: Site) -> None:
    site.vault = open_vault(site.config, site.clock, SystemDoor())


def copies(site: Site, owner_id: bytes) -> list[bytes]:
    """The first copy on each disk."""
    return [(disk(site, number) / f"erase-keys/{owner_id.hex()}.key").read_bytes() for number in (1, 2)]


def mark(kind: int, owner_id: bytes) -> bytes:
    """As docs/format.md has it."""
    head = b"SSE1" + bytes([1, kind, 0, 0]) + owner_id + bytes(32)
    return head + blake3(head).digest(length=8)


def damage(site: Site) -> list[str]:
    found = site.vault.recovery.findings
    return [one.sentence for one in found if one.severity is Severity.damage and "erase key" in one.sentence]


def test_the_slot_of_the_history_that_won_opens_when_the_disk_with_the_mark_is_back(tmp_path: Path) -> None:
    site = make_site(tmp_path, disks=2)
    owner = site.administrator()
    backed_up = site.ready(owner)
    close_vault(site.vault)
    take_away(site, 2)
    start(site)
    change = change_of(backed_up)
    keyring_slots.change_slots(site.vault, owner, "laptop", "home", change)
    close_vault(site.vault)
    take_away(site, 1)
    bring_back(site, 2)
    for name in ("catalog", "index"):
        shutil.rmtree(site.config.directory / name)
    start(site)
    for _ in range(6):  # so that this history is the longer one
        site.begin(backed_up)
    assert opened(site, owner, backed_up.slot_id, PROOF) == [backed_up.slot] * 2
    close_vault(site.vault)
    bring_back(site, 1)
    start(site)
    assert opened(site, owner, backed_up.slot_id, PROOF) == [backed_up.slot] * 2
    with pytest.raises(NotFound):
        opened(site, owner, change.slots[0].slot[8:24], PROOF)
    (sentence,) = damage(site)
    assert f"slot {backed_up.slot_id.hex()} was erased for ever, but the vault's history has that slot" in sentence
    first, second = copies(site, backed_up.slot_id)
    assert first == second != mark(3, backed_up.slot_id)
    site.reopen()
    assert damage(site) == []
    # Erased by this history too, it is gone.
    keyring_slots.change_slots(site.vault, owner, "laptop", "home", change_of(backed_up))
    site.reopen()
    assert copies(site, backed_up.slot_id) == [mark(3, backed_up.slot_id)] * 2
    close_vault(site.vault)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_running", [False, True])
def test_no_mark_on_a_disk_erases_what_the_catalog_has(site: Site, kind: OwnerKind, is_running: bool) -> None:
    backed_up = site.ready()
    ids = (backed_up.job.job_id, backed_up.sealer.keyring_id, backed_up.slot_id)
    owner = Owner(kind, ids[kind - 1])
    site.vault.erase_keys.create(owner)
    key, before = site.vault.erase_keys.load(owner), copies(site, owner.id)
    (disk(site, 1) / f"erase-keys/{owner.id.hex()}.key").write_bytes(mark(kind, owner.id))
    if is_running:
        (finding,) = complete_keys(site.vault)
        assert finding.severity is Severity.damage
    else:
        site.reopen()
        assert len(damage(site)) == 1
    assert copies(site, owner.id) == before
    assert site.vault.erase_keys.load(owner) == key


def checked(site: Site) -> list[tuple[str, str, str]]:
    """The findings of a check before the next start: severity, name of the file, sentence."""
    report = check_vault(site.config, SystemDoor(), read_data=False)
    return [(one.severity.value, Path(one.place).name, one.sentence) for one in report.findings]


def test_a_check_before_the_start_says_of_a_mark_what_the_start_will_do(site: Site, tmp_path: Path) -> None:
    owner = site.administrator()
    backed_up = site.ready(owner)
    slot_id, name = backed_up.slot_id, f"{backed_up.slot_id.hex()}.key"
    first, second = (disk(site, number) / "erase-keys" / name for number in (1, 2))
    close_vault(site.vault)
    key = first.read_bytes()
    first.write_bytes(mark(3, slot_id))
    (told,) = checked(site)
    assert told[:2] == ("warning", name)
    assert f"this mark erases nothing: the vault's history has that slot {slot_id.hex()}" in told[2]
    assert "the next start writes the good copy over it" in told[2]
    start(site)
    assert first.read_bytes() == key
    site.begin(backed_up)
    keyring_slots.change_slots(site.vault, owner, "laptop", "home", change_of(backed_up))
    site.upload(backed_up, backed_up.sealer.record(DATA, b"behind what the catalog has applied"))
    close_vault(site.vault)
    assert checked(site) == []
    second.write_bytes(key)
    erased = "this erase key was erased for ever, and a copy is still here"
    assert checked(site) == [("warning", name, erased)]
    for image in ("catalog", "index"):
        (site.config.directory / image).rename(tmp_path / image)
    (told,) = [one for one in checked(site) if one[1] == name]
    assert told[2] == f"{erased}; the next start keeps it only where the vault's history has what it is of"
    start(site)
    assert second.read_bytes() == mark(3, slot_id)


def test_a_mark_without_a_good_copy_is_damage_before_the_start_too(site: Site) -> None:
    backed_up = site.ready()
    first, second = (disk(site, number) / f"erase-keys/{backed_up.slot_id.hex()}.key" for number in (1, 2))
    close_vault(site.vault)
    first.write_bytes(mark(3, backed_up.slot_id))
    second.unlink()
    told = [one for one in checked(site) if one[1] == first.name]
    assert [one[0] for one in told] == ["damage"]
    assert "no good copy is here: nothing under it opens" in told[0][2]
    start(site)


def test_a_mark_alone_of_what_the_catalog_has_is_told_and_copied_nowhere(site: Site) -> None:
    backed_up = site.ready()
    first, second = (disk(site, number) / f"erase-keys/{backed_up.slot_id.hex()}.key" for number in (1, 2))
    first.write_bytes(mark(3, backed_up.slot_id))
    second.unlink()
    site.reopen()
    (sentence,) = damage(site)
    assert "no good copy is here" in sentence
    assert not second.exists()
