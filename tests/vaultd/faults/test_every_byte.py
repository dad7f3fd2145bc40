"""Every byte of a sealed container with three records, of a journal segment and of a checkpoint is flipped once, below
all programs, and the check finds each: counted by part, with the parts as docs/format.md draws them.
"""

import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.simulated_door import SimulatedDoor
from tests.support.simulated_store import SimulatedStore
from tests.vaultd.store.fakes import KEYRING, NOW_NS, VAULT, make_id, make_record, records
from vaultd.store.check.containers import ContainerCheck
from vaultd.store.check.journal import JournalCheck
from vaultd.store.containers import open_containers
from vaultd.store.disks.opening import open_disks
from vaultd.store.errors import RecordDamaged
from vaultd.store.findings import Finding, Severity
from vaultd.store.index.checkpoint import CheckpointHeader, write_checkpoint
from vaultd.store.journal.format import EntryKind, JournalEntry

BLOCK = 4096
HEADER = 84  # of a record
BODIES = (100, 37, 300)
CHANGE = ("t", b"key", b"value")
SEALED = "000000000001.container"
SEGMENT = "0000000000000001.journal"
CHECKPOINT = ".checkpoint"

Parts = list[tuple[str, int]]  # name and length, in the order of the file


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedStore]:
    """A sealed container with three records, an open one with one, and a checkpoint; closed."""
    monkeypatch.setattr(open_containers, "RECORDS_MAX", len(BODIES))
    made = SimulatedStore(tmp_path)
    store = made.store
    for seed, size in enumerate(BODIES):
        store.append(0, records(seed, size=size))
    position = store.commit([JournalEntry(EntryKind.catalog, {}, [CHANGE])])
    directories = store.disks.copy_directories("checkpoints")
    header = CheckpointHeader(VAULT, position, NOW_NS)
    write_checkpoint(store._door, directories, header, [CHANGE, CHANGE])
    store.append(0, records(9))
    store.commit()
    store.close()
    assert made.check() == []
    with monkeypatch.context() as quick:  # the index stays as it is, and a process for each byte would take minutes
        quick.setattr("vaultd.store.check.check.find_fault", lambda _: "")
        yield made
    assert made.check() == []


def parts_of_container() -> Parts:
    """Three records, sealed: header block, records, padding; directory, padding; trailer block."""
    parts: Parts = [("header", 52), ("zeros of the header block", BLOCK - 52)]
    for size in BODIES:
        parts += [("record header", HEADER), ("record body", size)]
    lengths = len(BODIES) * HEADER + sum(BODIES)
    parts += [("padding header", 16), ("padding", BLOCK - lengths - 16)]
    directory = 8 + 112 * len(BODIES) + 32
    parts += [("directory head", 8), ("directory rows", 112 * len(BODIES)), ("directory hash", 32)]
    parts += [("padding header", 16), ("padding", BLOCK - directory - 16)]
    return [*parts, ("trailer", 48), ("zeros of the trailer block", BLOCK - 48)]


def parts_of_segment(data: bytes) -> Parts:
    parts: Parts = [("segment header", 96)]
    at = 96
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        parts += [("entry head", 64), ("entry payload", length - 96), ("entry hash", 32)]
        at += length
    return parts


def parts_of_checkpoint(data: bytes) -> Parts:
    parts: Parts = [("checkpoint header", 128)]
    at = 128
    while length := struct.unpack_from("<I", data, at)[0]:
        parts += [("block length", 4), ("block rows", length), ("block hash", 32)]
        at += 4 + length + 32
    return [*parts, ("end", 4 + 8 + 32)]


Check = Callable[[], Sequence[Finding]]


def containers_of(store: SimulatedStore) -> Check:
    """Only this step of the check, and without the index: quick enough for tens of thousands of bytes."""
    door = SimulatedDoor(store.disks)
    disks = open_disks(door, store.settings.disk_paths, VAULT)
    journal = JournalCheck(door, disks.copy_directories("journal"), VAULT)
    journal.run()

    def check() -> Sequence[Finding]:
        step = ContainerCheck(door, disks, VAULT, read_data=True)
        step.run(journal, None)
        return [*step.findings, *(fault.finding() for fault in step.faults)]

    return check


def flip_all(check: Check, store: SimulatedStore, copies: list[str], parts: Parts, severities: set[Severity]) -> None:
    """Each byte in all the copies; what is found must name one of them."""
    files = [store.file(name) for name in copies]
    places = {str(path) for path, _ in files}
    assert {len(file.live) for _, file in files} == {sum(length for _, length in parts)}
    found: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    at = 0
    for name, length in parts:
        wanted[name] += length
        for offset in range(at, at + length):
            for _, file in files:
                file.live[offset] ^= 1 << offset % 8
            findings = check()
            found[name] += any(row.place in places and row.severity in severities for row in findings)
            for _, file in files:
                file.live[offset] ^= 1 << offset % 8
        at += length
    print(", ".join(f"{name} {found[name]} of {count}" for name, count in wanted.items()))
    assert found == wanted


def test_every_flipped_byte_of_a_container_is_found(store: SimulatedStore) -> None:
    name = f"disk0/containers/0000/{SEALED}"
    flip_all(containers_of(store), store, [name], parts_of_container(), {Severity.damage})
    _, file = store.file(SEALED)
    for offset in range(0, len(file.live), 97):  # the whole check says so too
        file.live[offset] ^= 1 << offset % 8
        assert store.damage(), offset
        file.live[offset] ^= 1 << offset % 8


def test_every_flipped_byte_of_a_journal_segment_is_found(store: SimulatedStore) -> None:
    copies = [f"disk{number}/journal/{SEGMENT}" for number in (0, 1)]
    parts = parts_of_segment(bytes(store.file(copies[0])[1].live))
    assert [name for name, _ in parts].count("entry head") >= 4
    for copy in copies:
        flip_all(store.check, store, [copy], parts, {Severity.damage, Severity.warning})


def test_a_byte_of_a_journal_segment_flipped_in_both_copies_is_damage(store: SimulatedStore) -> None:
    copies = [f"disk{number}/journal/{SEGMENT}" for number in (0, 1)]
    parts = parts_of_segment(bytes(store.file(copies[0])[1].live))
    (_, first), (_, second) = (store.file(name) for name in copies)
    for offset in range(0, sum(length for _, length in parts), 3):
        for file in (first, second):
            file.live[offset] ^= 1 << offset % 8
        assert store.damage(), offset
        for file in (first, second):
            file.live[offset] ^= 1 << offset % 8


def test_every_flipped_byte_of_a_checkpoint_is_found(store: SimulatedStore) -> None:
    for number in (0, 1):
        path, file = next(
            (path, file) for path, file in store.disks[number].files().items() if path.name.endswith(CHECKPOINT)
        )
        name = f"disk{number}/checkpoints/{path.name}"
        flip_all(store.check, store, [name], parts_of_checkpoint(bytes(file.live)), {Severity.warning})


def test_every_flipped_byte_of_an_identity_or_an_open_container_is_found(store: SimulatedStore) -> None:
    for number in (0, 1):
        _, file = store.file(f"disk{number}/disk.id")
        for offset in range(64):
            file.live[offset] ^= 1 << offset % 8
            assert store.damage(), offset
            file.live[offset] ^= 1 << offset % 8
    _, file = store.file("000000000002.container")
    check = containers_of(store)
    for offset in [*range(0, BLOCK, 50), *range(BLOCK, BLOCK + HEADER + 100 + 16), *range(BLOCK + 200, 2 * BLOCK, 50)]:
        file.live[offset] ^= 1 << offset % 8
        assert any(row.severity is Severity.damage for row in check()), offset
        file.live[offset] ^= 1 << offset % 8


def test_a_read_gives_the_stored_bytes_or_an_error_whichever_byte_is_flipped(store: SimulatedStore) -> None:
    expected = {make_id(seed): make_record(seed, size) for seed, size in enumerate(BODIES)}
    store.start()
    _, file = store.file(SEALED)
    at = BLOCK
    for hit, record in expected.items():
        for offset in range(at, at + len(record)):
            file.live[offset] ^= 1 << offset % 8
            for id_, whole in expected.items():
                (location,) = store.store.locate(KEYRING, [id_])
                assert location
                if id_ == hit:
                    with pytest.raises(RecordDamaged, match=id_.hex()):
                        store.store.read(location, id_)
                else:
                    assert store.store.read(location, id_) == whole
            file.live[offset] ^= 1 << offset % 8
        at += len(record)
    store.store.close()
