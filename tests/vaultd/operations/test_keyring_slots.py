"""Other slots for a keyring: only against the proof of a slot, and the old one can be read nowhere afterwards."""

import os
from dataclasses import replace

import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import slot
from tests.vaultd.operations.small_site import PROOF, BackedUp, Site
from vaultd.errors import BadRequest, Conflict, Damaged, NotFound, Throttled, Unavailable, WrongPassword
from vaultd.operations import keyring_slots, restore
from vaultd.operations.keyring_slots import SlotChange
from vaultd.operations.keyrings import NewSlot
from vaultd.operations.restore import OpenRequest
from vaultd.operations.vault import write_checkpoint
from vaultd.records import Identity

NEW_PROOF = bytes(range(100, 132))
WRONG = bytes(32)


def new_slot(backed_up: BackedUp, kind: int = 1) -> NewSlot:
    return NewSlot(slot(backed_up.sealer.keyring_id, kind), blake3(NEW_PROOF).digest())


def change_of(backed_up: BackedUp, *slots: NewSlot) -> SlotChange:
    made = slots or (new_slot(backed_up),)
    return SlotChange(backed_up.sealer.keyring_id, backed_up.slot_id, PROOF, made, (backed_up.slot_id,))


def change_slots(site: Site, administrator: Identity, change: SlotChange) -> None:
    keyring_slots.change_slots(site.vault, administrator, "laptop", "home", change)


def opened(site: Site, administrator: Identity, slot_id: bytes, proof: bytes) -> list[bytes]:
    return keyring_slots.open_slot(site.vault, administrator, "laptop", "home", slot_id, proof)


@pytest.fixture
def owner(site: Site) -> Identity:
    return site.administrator()


@pytest.fixture
def backed_up(site: Site, owner: Identity) -> BackedUp:
    return site.ready(owner)


def files_with(site: Site, wanted: bytes) -> list[str]:
    directory = site.config.directory
    return [str(path) for path in directory.rglob("*") if path.is_file() and wanted in path.read_bytes()]


def erase_key(site: Site, slot_id: bytes) -> bytes:
    """As docs/format.md says where it lies."""
    directory = site.vault.store.disks.copy_directories("erase-keys")[0]
    return (directory / f"{slot_id.hex()}.key").read_bytes()[24:56]


def test_the_new_slot_opens_and_the_old_one_is_gone(site: Site, owner: Identity, backed_up: BackedUp) -> None:
    change = change_of(backed_up)
    change_slots(site, owner, change)
    new_id = change.slots[0].slot[8:24]
    found = keyring_slots.parameters(site.vault, owner, "laptop", "home")
    assert [slot.slot_id for slot in found.slots] == [new_id]
    assert opened(site, owner, new_id, NEW_PROOF) == [change.slots[0].slot] * 2
    with pytest.raises(NotFound):
        opened(site, owner, backed_up.slot_id, PROOF)
    with pytest.raises(NotFound):
        restore.open_restore(
            site.vault, backed_up.agent.identity, OpenRequest(None, "home", backed_up.slot_id, PROOF, 0)
        )


def test_the_old_erase_key_lies_nowhere_any_more(site: Site, owner: Identity, backed_up: BackedUp) -> None:
    """The old slot itself stays in journal and checkpoints, wrapped, and nothing opens the wrap."""
    write_checkpoint(site.vault)
    with site.vault.catalog.read() as view:
        (_, row), *_ = view.scan("slots")
    key = erase_key(site, backed_up.slot_id)
    wrapped = bytes(row[-60:])  # of its ciphertext
    assert len(files_with(site, key)) == 2
    change_slots(site, owner, change_of(backed_up))
    write_checkpoint(site.vault)
    assert files_with(site, key) == []
    assert erase_key(site, backed_up.slot_id) == bytes(32)
    assert any(path.endswith((".journal", ".checkpoint")) for path in files_with(site, wrapped[:32]))
    site.reopen()
    assert files_with(site, key) == []


def test_the_recovery_code_stays_good(site: Site, owner: Identity) -> None:
    agent = site.agent(owner)
    backed_up = site.keyring(agent, site.job(owner, agent))
    recovery = new_slot(backed_up, kind=2)
    kept = NewSlot(recovery.slot, blake3(b"r" * 32).digest())
    change_slots(site, owner, change_of(backed_up, new_slot(backed_up), kept))
    first = keyring_slots.parameters(site.vault, owner, "laptop", "home")
    old = next(one.slot_id for one in first.slots if one.kind == 1)
    newer = new_slot(backed_up)
    by_code = SlotChange(backed_up.sealer.keyring_id, kept.slot[8:24], b"r" * 32, (newer,), (old,))
    change_slots(site, owner, by_code)
    assert opened(site, owner, kept.slot[8:24], b"r" * 32) == [kept.slot] * 2
    assert opened(site, owner, newer.slot[8:24], NEW_PROOF) == [newer.slot] * 2


def test_without_the_proof_nothing_is_given_and_nothing_changes(
    site: Site, owner: Identity, backed_up: BackedUp
) -> None:
    number = site.vault.store.position.number
    with pytest.raises(WrongPassword):
        opened(site, owner, backed_up.slot_id, WRONG)
    with pytest.raises(WrongPassword):
        change_slots(site, owner, replace(change_of(backed_up), proof=WRONG))
    assert site.vault.store.position.number == number
    assert opened(site, owner, backed_up.slot_id, PROOF) == [backed_up.slot] * 2


@pytest.mark.parametrize("what", ["open", "change"])
def test_wrong_proofs_are_counted(site: Site, owner: Identity, backed_up: BackedUp, what: str) -> None:
    def guess() -> None:
        if what == "open":
            opened(site, owner, backed_up.slot_id, WRONG)
        change_slots(site, owner, replace(change_of(backed_up), proof=WRONG))

    for _ in range(10):
        with pytest.raises(WrongPassword):
            guess()
    with pytest.raises(Throttled):
        guess()
    with pytest.raises(Throttled):
        opened(site, owner, backed_up.slot_id, PROOF)


def test_a_repeat_changes_nothing_and_completes_what_was_begun(
    site: Site, owner: Identity, backed_up: BackedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, key = change_of(backed_up), erase_key(site, backed_up.slot_id)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(site.vault.erase_keys, "_write_over", fail)
        with pytest.raises(Unavailable, match="the new slots are kept"):
            change_slots(site, owner, change)
    assert len(files_with(site, key)) == 2
    number = site.vault.store.position.number
    change_slots(site, owner, change)
    assert site.vault.store.position.number == number
    assert files_with(site, key) == []


def test_a_start_destroys_what_a_crash_left(
    site: Site, owner: Identity, backed_up: BackedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = erase_key(site, backed_up.slot_id)
    monkeypatch.setattr(site.vault.erase_keys, "destroy", lambda owner: None)
    change_slots(site, owner, change_of(backed_up))
    assert len(files_with(site, key)) == 2
    site.crash()
    assert files_with(site, key) == []
    assert site.vault.recovery.findings == []


def test_a_copy_that_a_disk_brings_back_is_destroyed(site: Site, owner: Identity, backed_up: BackedUp) -> None:
    first, second = site.vault.store.disks.copy_directories("erase-keys")
    name, key = f"{backed_up.slot_id.hex()}.key", erase_key(site, backed_up.slot_id)
    whole = (second / name).read_bytes()
    change_slots(site, owner, change_of(backed_up))
    (first / name).unlink()
    (second / name).write_bytes(whole)
    site.reopen()
    assert files_with(site, key) == []


def test_an_old_catalog_that_lacks_a_slot_destroys_no_key(site: Site, owner: Identity, backed_up: BackedUp) -> None:
    """Only a row that says so is a reason: an older copy of the journal knows nothing of a newer slot."""
    stray = os.urandom(16)
    for directory in site.vault.store.disks.copy_directories("erase-keys"):
        head = b"SSE1" + bytes([1, 3, 0, 0]) + stray + bytes(range(32))
        (directory / f"{stray.hex()}.key").write_bytes(head + blake3(head).digest()[:8])
    site.reopen()
    assert erase_key(site, stray) == bytes(range(32))


def test_the_id_of_an_erased_slot_is_never_taken_again(site: Site, owner: Identity, backed_up: BackedUp) -> None:
    change = change_of(backed_up)
    change_slots(site, owner, change)
    new = change.slots[0].slot[8:24]
    again = NewSlot(slot(backed_up.sealer.keyring_id, slot_id=backed_up.slot_id), blake3(PROOF).digest())
    with pytest.raises(Conflict, match="slot_id .* cannot be used"):
        change_slots(site, owner, SlotChange(backed_up.sealer.keyring_id, new, NEW_PROOF, (again,), (new,)))


def test_a_change_that_cannot_be_right_is_refused(site: Site, owner: Identity, backed_up: BackedUp) -> None:
    good, keyring_id = change_of(backed_up), backed_up.sealer.keyring_id
    wrong = {
        "one must be a password slot": replace(good, slots=(new_slot(backed_up, kind=2),)),
        "keyring or generation is not": replace(good, slots=(NewSlot(slot(os.urandom(16)), bytes(32)),)),
        "slots must be 1 to 8, not 0": replace(good, slots=()),
        "proof_hash must have": replace(good, slots=(NewSlot(slot(keyring_id), b"short"),)),
    }
    for message, change in wrong.items():
        with pytest.raises(BadRequest, match=message):
            change_slots(site, owner, change)
    with pytest.raises(NotFound, match="has no slot"):
        change_slots(site, owner, replace(good, removed=(os.urandom(16),)))
    with pytest.raises(Conflict, match="another keyring"):
        change_slots(site, owner, replace(good, keyring_id=os.urandom(16)))
    many = tuple(new_slot(backed_up) for _ in range(8))
    with pytest.raises(BadRequest, match="at most 8"):
        change_slots(site, owner, replace(good, slots=many, removed=()))
    assert opened(site, owner, backed_up.slot_id, PROOF) == [backed_up.slot] * 2


def test_of_two_changes_at_once_one_is_refused(site: Site, owner: Identity, backed_up: BackedUp) -> None:
    first, second = change_of(backed_up), change_of(backed_up)
    change_slots(site, owner, first)
    with pytest.raises(NotFound, match="has no slot"):
        change_slots(site, owner, second)


def test_a_keyring_whose_slots_do_not_read_is_damage(site: Site, owner: Identity, backed_up: BackedUp) -> None:
    for directory in site.vault.store.disks.copy_directories("erase-keys"):
        (directory / f"{backed_up.slot_id.hex()}.key").unlink()
    with pytest.raises(Damaged, match="no slot of job 'home' can be read"):
        keyring_slots.parameters(site.vault, owner, "laptop", "home")


def test_a_job_without_a_keyring_has_nothing_to_change(site: Site, owner: Identity) -> None:
    agent = site.agent(owner)
    site.job(owner, agent)
    with pytest.raises(Conflict, match="no keyring yet"):
        keyring_slots.parameters(site.vault, owner, "laptop", "home")
