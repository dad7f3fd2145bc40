import struct
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.support.simulated_disk import SimulatedDisk
from tests.support.simulated_door import SimulatedDoor
from tests.vaultd.store.fakes import create, flip, make_settings, short_hash
from vaultd.store.check.check import check_store
from vaultd.store.disk_door import SystemDoor, write_file
from vaultd.store.erase_keys.erase_keys import EraseKeys
from vaultd.store.erase_keys.file import Owner, OwnerKind
from vaultd.store.errors import FormatError, NewerFormat, RecordDamaged, StoreError
from vaultd.store.findings import Severity

JOB = Owner(OwnerKind.job, b"J" * 16)
NAME = b"J".hex() * 16


@pytest.fixture
def directories(tmp_path):
    found = [tmp_path / "e0", tmp_path / "e1"]
    for directory in found:
        directory.mkdir()
    return found


def keys(directories):
    made = EraseKeys(SystemDoor(), directories)
    made.create(JOB)
    return made


def test_the_file_byte_by_byte_on_both_disks(directories):
    key = keys(directories).load(JOB)
    head = b"SSE1" + bytes([1, 1, 0, 0]) + b"J" * 16 + key
    assert len(key) == 32
    for directory in directories:
        assert (directory / f"{NAME}.key").read_bytes() == head + short_hash(head)
        assert (directory / f"{NAME}.key").stat().st_mode & 0o777 == 0o600


def test_two_copies_on_a_single_disk(directories):
    keys(directories[:1])
    names = sorted(path.name for path in directories[0].iterdir())
    assert names == [f"{NAME}.key", f"{NAME}.key2"]
    assert (directories[0] / names[0]).read_bytes() == (directories[0] / names[1]).read_bytes()


def test_one_good_copy_is_enough_and_create_completes_the_other(directories):
    made = keys(directories)
    key = made.load(JOB)
    for directory in directories:
        path = directory / f"{NAME}.key"
        whole = path.read_bytes()
        flip(path, 30)
        assert made.load(JOB) == key
        path.unlink()
        assert made.load(JOB) == key
        made.create(JOB)
        assert path.read_bytes() == whole


def test_no_new_key_is_made_where_only_damaged_copies_are_here(directories):
    """The other disk is away, and everything is wrapped under what is on it."""
    key = keys(directories).load(JOB)
    path = directories[0] / f"{NAME}.key"
    flip(path, 30)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="bring the other disk back"):
        EraseKeys(SystemDoor(), directories[:1]).create(JOB)
    assert [found.read_bytes() for found in directories[0].iterdir()] == [before]
    whole = EraseKeys(SystemDoor(), directories)
    (finding,) = whole.mend(())
    assert finding.place == str(path)
    flip(directories[1] / f"{NAME}.key", 30)
    assert whole.load(JOB) == key


def test_two_different_good_copies_are_left_alone(directories):
    made = keys(directories[:1])
    EraseKeys(SystemDoor(), directories[1:]).create(JOB)
    both = EraseKeys(SystemDoor(), directories)
    before = {path: path.read_bytes() for directory in directories for path in directory.iterdir()}
    (finding,) = both.mend(())
    assert "differ" in finding.sentence
    assert {path: path.read_bytes() for directory in directories for path in directory.iterdir()} == before
    assert both.load(JOB) == made.load(JOB)


def test_a_directory_that_cannot_be_listed_is_a_finding(directories):
    class NoNames(SystemDoor):
        def listdir(self, path):
            if path == directories[0]:
                raise OSError(5, "told to fail", str(path))
            return super().listdir(path)

    key = keys(directories).load(JOB)
    made = EraseKeys(NoNames(), directories)
    assert [finding.place for finding in made.mend(())] == [str(directories[0])]
    assert made.load(JOB) == key


def test_without_a_key_nothing_opens(directories):
    made = keys(directories)
    wrapped = made.wrap(JOB, "slot", b"s" * 16, b"secret")
    for directory in directories:
        (directory / f"{NAME}.key").unlink()
    with pytest.raises(StoreError, match="erased"):
        made.unwrap([JOB], "slot", b"s" * 16, wrapped)


def test_wrapping_agrees_with_aes_gcm_done_by_hand(directories):
    made = keys(directories)
    item = b"s" * 16
    head = struct.pack("<4sBBH16s", b"SSW1", 1, 1, 0, b"J" * 16)
    wrapped = made.wrap(JOB, "run_key", item, b"secret")
    assert wrapped[:32] == head + short_hash(head)
    assert AESGCM(made.load(JOB)).decrypt(wrapped[32:44], wrapped[44:], head + b"run_key" + item) == b"secret"
    by_hand = (
        head + short_hash(head) + b"n" * 12 + AESGCM(made.load(JOB)).encrypt(b"n" * 12, b"other", head + b"slot" + item)
    )
    assert made.unwrap([JOB], "slot", item, by_hand) == b"other"


def test_a_nonce_is_never_the_same(directories):
    made = keys(directories)
    assert made.wrap(JOB, "slot", b"s" * 16, b"x") != made.wrap(JOB, "slot", b"s" * 16, b"x")


def test_another_purpose_item_or_owner_does_not_open_it(directories):
    made = keys(directories)
    wrapped = made.wrap(JOB, "slot", b"s" * 16, b"secret")
    with pytest.raises(RecordDamaged):
        made.unwrap([JOB], "run_key", b"s" * 16, wrapped)
    with pytest.raises(RecordDamaged):
        made.unwrap([JOB], "slot", b"t" * 16, wrapped)
    with pytest.raises(FormatError, match="header"):
        made.unwrap([Owner(OwnerKind.keyring, JOB.id)], "slot", b"s" * 16, wrapped)
    for at in range(len(wrapped)):
        broken = bytearray(wrapped)
        broken[at] ^= 1
        with pytest.raises(StoreError):
            made.unwrap([JOB], "slot", b"s" * 16, bytes(broken))
    with pytest.raises(StoreError):
        made.unwrap([JOB], "slot", b"s" * 16, wrapped[:20])


def test_copies_that_differ_are_all_tried_and_none_is_written_over(directories, tmp_path):
    """Each was good once: what was wrapped under either opens, and the difference is named."""
    made = keys(directories)
    first = made.wrap(JOB, "slot", b"s" * 16, b"first")
    path = directories[1] / f"{NAME}.key"
    path.unlink()
    alone = EraseKeys(SystemDoor(), directories[1:])
    alone.create(JOB)
    second = alone.wrap(JOB, "slot", b"s" * 16, b"second")
    (directories[1] / f"{NAME}.key2").unlink()
    before = {path: path.read_bytes() for directory in directories for path in directory.iterdir()}
    assert len(set(before.values())) == 2
    assert made.unwrap([JOB], "slot", b"s" * 16, first) == b"first"
    assert made.unwrap([JOB], "slot", b"s" * 16, second) == b"second"
    (finding,) = made.mend(())
    assert (finding.severity, finding.place) == (Severity.damage, str(directories[0] / NAME))
    assert "different keys" in finding.sentence
    made.create(JOB)
    assert {path: path.read_bytes() for directory in directories for path in directory.iterdir()} == before


def test_the_check_names_copies_that_differ(tmp_path):
    settings = make_settings(tmp_path, disks=2)
    create(settings).close()
    for number in (0, 1):
        EraseKeys(SystemDoor(), [tmp_path / f"disk{number}" / "erase-keys"]).create(JOB)
        (tmp_path / f"disk{number}" / "erase-keys" / f"{NAME}.key2").unlink()
    (finding,) = check_store(settings, SystemDoor(), read_data=False).findings
    assert finding.severity is Severity.damage
    assert "different keys" in finding.sentence


def file_of(kind: int, key: bytes, version: int = 1) -> bytes:
    head = b"SSE1" + bytes([version, kind, 0, 0]) + b"J" * 16 + key
    return head + short_hash(head)


def test_what_was_erased_for_ever_stays_erased_when_a_disk_comes_back(directories):
    made = keys(directories)
    wrapped = made.wrap(JOB, "slot", b"s" * 16, b"secret")
    key = made.load(JOB)
    other = directories[1] / f"{NAME}.key"
    inode = other.stat().st_ino
    (directories[0] / f"{NAME}.key").write_bytes(file_of(1, bytes(32)))
    with pytest.raises(StoreError, match="erased for ever"):
        made.unwrap([JOB], "slot", b"s" * 16, wrapped)
    with pytest.raises(StoreError, match="erased for ever"):
        made.create(JOB)
    (finding,) = made.mend(())
    assert finding.place == str(other)
    assert other.read_bytes() == file_of(1, bytes(32))
    assert other.stat().st_ino == inode, "written over in its place"
    assert key not in other.read_bytes()
    assert made.mend(()) == []


def test_what_was_erased_again_stays_so_after_a_power_loss_without_the_disk_that_said_it():
    disks = [SimulatedDisk(Path(f"/simulated/e{number}")) for number in range(2)]
    door = SimulatedDoor(disks)
    made = EraseKeys(door, [disk.root for disk in disks])
    made.create(JOB)
    marked, other = (disk.root / f"{NAME}.key" for disk in disks)
    door.unlink(marked)
    write_file(door, marked, file_of(1, bytes(32)))
    assert [finding.place for finding in made.mend(())] == [str(other)]
    for seed in range(20):
        left = disks[1].copy()
        left.cut_power(Random(seed))
        assert bytes(left.files()[other].live) == file_of(1, bytes(32))


def test_the_mark_on_any_disk_erases_every_copy(tmp_path):
    """A disk that was one of the first two when the key was erased, and is not any more."""
    settings = make_settings(tmp_path, disks=3)
    store = create(settings)
    made = EraseKeys.on(SystemDoor(), store.disks)
    made.create(JOB)
    (tmp_path / "disk2" / "erase-keys" / f"{NAME}.key").write_bytes(file_of(1, bytes(32)))
    with pytest.raises(StoreError, match="erased for ever"):
        made.load(JOB)
    with pytest.raises(StoreError, match="erased for ever"):
        made.create(JOB)
    store.close()
    sentences = {finding.sentence for finding in check_store(settings, SystemDoor(), read_data=False).findings}
    assert sentences == {"this erase key was erased for ever, and a copy is still here"}
    assert len(made.mend(())) == 2
    for number in (0, 1):
        assert (tmp_path / f"disk{number}" / "erase-keys" / f"{NAME}.key").read_bytes() == file_of(1, bytes(32))


def test_a_copy_on_any_disk_opens_and_comes_back_to_the_first_two(tmp_path):
    store = create(make_settings(tmp_path, disks=3))
    made = EraseKeys.on(SystemDoor(), store.disks)
    made.create(JOB)
    key = made.load(JOB)
    first, second, third = (tmp_path / f"disk{number}" / "erase-keys" / f"{NAME}.key" for number in range(3))
    first.rename(third)
    second.unlink()
    assert made.load(JOB) == key
    made.mend(())
    assert first.read_bytes() == second.read_bytes() == third.read_bytes()
    store.close()


def test_two_kinds_of_erased_marks_of_one_name_do_not_keep_the_vault_from_starting(directories):
    for kind, directory in enumerate(directories, 1):
        (directory / f"{NAME}.key").write_bytes(file_of(kind, bytes(32)))
    made = EraseKeys(SystemDoor(), directories)
    assert made.mend(()) == []
    with pytest.raises(StoreError, match="erased for ever"):
        made.load(JOB)


def test_a_mark_of_what_is_known_counts_for_nothing_also_where_it_cannot_be_written_over(directories):
    class Full(SystemDoor):
        def open_new(self, path):
            if path.parent == directories[0]:
                raise OSError(28, "told to fail", str(path))
            return super().open_new(path)

    key = keys(directories).load(JOB)
    marked, other = (directory / f"{NAME}.key" for directory in directories)
    marked.write_bytes(file_of(1, bytes(32)))
    made = EraseKeys(Full(), directories)
    (finding,) = made.mend({JOB})
    assert (finding.severity, finding.place) == (Severity.damage, str(marked))
    assert "told to fail" in finding.sentence
    assert made.load(JOB) == key
    assert marked.read_bytes() == file_of(1, bytes(32))
    made.destroy(JOB)
    assert other.read_bytes() == file_of(1, bytes(32))
    with pytest.raises(StoreError, match="erased for ever"):
        made.load(JOB)


def test_good_copies_that_differ_beside_a_mark_of_what_is_known_are_left_alone(directories):
    key = keys(directories).load(JOB)
    files = [directories[0] / f"{NAME}.key", directories[1] / f"{NAME}.key", directories[1] / f"{NAME}.key2"]
    files[0].write_bytes(file_of(1, bytes(32)))
    files[2].write_bytes(file_of(1, b"k" * 32))
    before = [path.read_bytes() for path in files]
    made = EraseKeys(SystemDoor(), directories)
    (finding,) = made.mend({JOB})
    assert "different keys" in finding.sentence
    assert [path.read_bytes() for path in files] == before
    assert made.load(JOB) == key


def longer_file() -> bytes:
    head = b"SSE1" + bytes([2, 1, 0, 0]) + b"J" * 16 + b"k" * 64
    return head + short_hash(head)


@pytest.mark.parametrize("data", [file_of(1, b"k" * 32, version=2), file_of(9, b"k" * 32), longer_file()])
def test_a_key_file_of_a_later_version_is_never_written_over(directories, data):
    made = keys(directories)
    path = directories[0] / f"{NAME}.key"
    path.write_bytes(data)
    for use in (lambda: made.mend(()), lambda: made.create(JOB), lambda: made.load(JOB)):
        with pytest.raises(NewerFormat, match="later version"):
            use()
    assert path.read_bytes() == data


@pytest.mark.parametrize(("at", "value"), [(0, 0), (4, 2), (5, 4), (6, 1)])
def test_a_wrap_of_a_later_version_is_not_taken_for_damage(directories, at, value):
    made = keys(directories)
    wrapped = bytearray(made.wrap(JOB, "slot", b"s" * 16, b"secret"))
    wrapped[at] = value
    with pytest.raises(FormatError, match="checksum"):
        made.unwrap([JOB], "slot", b"s" * 16, bytes(wrapped))
    wrapped[24:32] = short_hash(bytes(wrapped[:24]))
    with pytest.raises(NewerFormat, match="later version"):
        made.unwrap([JOB], "slot", b"s" * 16, bytes(wrapped))


def test_a_wrap_opens_under_the_owner_that_it_names(directories):
    """Run keys of an erased job lie under their keyring's erase key from then on."""
    made = keys(directories)
    keyring = Owner(OwnerKind.keyring, b"K" * 16)
    made.create(keyring)
    anew = made.wrap(keyring, "run_key", b"r" * 16, b"secret")
    assert made.unwrap([JOB, keyring], "run_key", b"r" * 16, anew) == b"secret"
    with pytest.raises(FormatError, match="whose it is not"):
        made.unwrap([JOB], "run_key", b"r" * 16, anew)
