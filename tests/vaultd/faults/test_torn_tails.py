"""The end of an open container after a fall: torn at every byte of its last three records, and followed by zeros, by
garbage or by old bytes of another container. Above the acknowledged length it is cut and nothing is lost; below it is
damage that is named, costs only the records that it hit, and they are taken again.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.support.disk_faults import Faults, Killed, Kind
from tests.support.simulated_store import SimulatedStore
from tests.vaultd.store.fakes import KEYRING, make_id, make_record, read, records
from vaultd.store.errors import RecordDamaged
from vaultd.store.findings import Severity

BLOCK = 4096
SIZES = {11: 100, 12: 37, 13: 60}
LENGTH = sum(84 + size for size in SIZES.values())
OPEN = "000000000001.container"
KINDS = ("torn", "zeros", "garbage", "old bytes", "old records")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SimulatedStore]:
    """Two records are acknowledged, in the first block; it runs."""
    made = SimulatedStore(tmp_path)
    made.store.append(0, records(1, 2))
    made.store.commit()
    yield made
    made.store.close()


def append_three(store: SimulatedStore) -> None:
    for seed, size in SIZES.items():
        store.store.append(0, records(seed, size=size))


def fall_before_the_journal(store: SimulatedStore) -> None:
    """The three records are in their container, and no entry names them."""
    door = store.store._door
    door.faults = Faults(Kind.kill_before, 1, names=frozenset({"pwrite"}), under=store.disks[0].root / "journal")
    append_three(store)
    with pytest.raises(Killed):
        store.store.commit()
    store.store.close()


def tails(whole: bytes, start: int, rng: Random) -> Iterator[tuple[str, bytes]]:
    """`whole` torn at each byte from `start` to the end of the last record, with each kind of what may follow."""
    end = len(whole)
    old = make_record(77, 700) + make_record(78, 2000)
    for at in range(start, start + LENGTH + 1):
        for number, kind in enumerate(KINDS):
            if kind != "torn" and (at + number) % 3:
                continue  # those behind every third byte
            follows = {
                "torn": b"",
                "zeros": bytes(end - at),
                "garbage": rng.randbytes(end - at),
                "old bytes": old[at - start :],
                "old records": old,
            }[kind]
            yield f"{kind} at {at}", whole[:at] + follows


def assert_tried(tried: list[str], start: int) -> None:
    """Torn at every byte of three records, which are 449, and behind the last; what may follow at every third one."""
    assert [what for what in tried if what.startswith("torn")] == [f"torn at {start + n}" for n in range(450)]
    counted = Counter(what.partition(" at ")[0] for what in tried if not what.startswith("torn"))
    assert counted == {"zeros": 150, "garbage": 150, "old bytes": 150, "old records": 150}


def test_what_lies_above_the_acknowledged_length_is_cut_whatever_it_is(store: SimulatedStore) -> None:
    _, file = store.file(OPEN)
    acknowledged = len(file.live)
    assert acknowledged == 2 * BLOCK
    fall_before_the_journal(store)
    whole = bytes(file.live)
    disks, image = [disk.copy() for disk in store.disks], store.index_image()
    tried: list[str] = []
    for what, data in tails(whole, acknowledged, Random(1)):
        tried.append(what)
        store.disks = [disk.copy() for disk in disks]
        store.give_back_index(image)
        _, file = store.file(OPEN)
        file.live[:] = file.durable[:] = data
        report = store.start()
        assert not [found for found in report.findings if found.severity is Severity.damage], what
        assert file.live == whole[:acknowledged], what
        assert file.live == file.durable, what
        append_three(store)
        store.store.commit()
        for seed, size in {1: 100, 2: 100, **SIZES}.items():
            assert read(store.store, seed) == make_record(seed, size), what
        store.store.close()
        if len(tried) % 25 == 0:
            assert store.check() == [], what
    assert_tried(tried, acknowledged)


def test_what_is_torn_below_the_acknowledged_length_is_named_and_taken_again(store: SimulatedStore) -> None:
    _, file = store.file(OPEN)
    start = len(file.live)
    append_three(store)
    store.store.commit()
    store.store.close()
    whole = bytes(file.live)
    disks, image = [disk.copy() for disk in store.disks], store.index_image()
    ends = {1: BLOCK + 184, 2: BLOCK + 368, 11: start + 184, 12: start + 305, 13: start + LENGTH}
    tried: list[str] = []
    for what, data in tails(whole, start, Random(2)):
        store.disks = [disk.copy() for disk in disks]
        store.give_back_index(image)
        path, file = store.file(OPEN)
        file.live[:] = file.durable[:] = data
        intact = {seed for seed, end in ends.items() if data[:end] == whole[:end]}
        if data[: len(whole)] == whole:
            continue
        tried.append(what)
        report = store.start()
        damage = [found for found in report.findings if found.severity is Severity.damage]
        assert any(found.place == str(path) for found in damage), what
        missing = store.store.missing(KEYRING, [make_id(seed) for seed in ends])
        for seed, is_missing in zip(ends, missing, strict=True):
            size = SIZES.get(seed, 100)
            assert is_missing == (seed not in intact), (what, seed)
            if seed in intact:
                assert read(store.store, seed) == make_record(seed, size), what
            else:
                with pytest.raises(RecordDamaged):
                    read(store.store, seed)
        append_three(store)
        store.store.commit()
        for seed in ends:
            assert read(store.store, seed) == make_record(seed, SIZES.get(seed, 100)), what
        store.store.close()
    assert_tried(tried, start)
