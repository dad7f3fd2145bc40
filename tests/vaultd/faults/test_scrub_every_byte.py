"""Every byte of a sealed container with three records, and of one that goes on, is flipped once, below the vault while
it runs, and the scrub finds each: counted by part, with the parts as docs/format.md draws them.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.simulated_store import SimulatedStore
from tests.vaultd.faults.test_every_byte import BLOCK, BODIES, HEADER, Parts, parts_of_container
from tests.vaultd.store.fakes import make_id, records
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.containers import open_containers
from vaultd.store.scrub import Piece

OPEN_BODY = 100


@pytest.fixture
def simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedStore]:
    """Three records in a sealed container, one in one that goes on."""
    monkeypatch.setattr(open_containers, "RECORDS_MAX", len(BODIES))
    made = SimulatedStore(tmp_path)
    for seed, size in enumerate(BODIES):
        made.store.append(0, records(seed, size=size))
    made.store.append(0, records(9, size=OPEN_BODY))
    made.store.commit()
    yield made
    made.store.close()


def found_in(store: ChunkStore, number: int) -> list[Piece]:
    row, open_rows = store.container_now(number)
    assert row is not None
    return list(store.scrub.run(row, open_rows))


def flip_all(simulated: SimulatedStore, number: int, parts: Parts) -> None:
    store = simulated.store
    _, file = simulated.file(f"{number:012x}.container")
    assert len(file.live) == sum(length for _, length in parts)
    found: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    at = 0
    for name, length in parts:
        wanted[name] += length
        for offset in range(at, at + length):
            file.live[offset] ^= 1 << offset % 8
            pieces = found_in(store, number)
            is_record = any(piece.lost for piece in pieces)
            found[name] += is_record if name.startswith("record") else any(piece.places for piece in pieces)
            file.live[offset] ^= 1 << offset % 8
        at += length
    assert not any(piece.damages or piece.alarms for piece in found_in(store, number))
    print(", ".join(f"{name} {found[name]} of {count}" for name, count in wanted.items()))
    assert found == wanted


def test_every_flipped_byte_of_a_sealed_container_is_found(simulated: SimulatedStore) -> None:
    flip_all(simulated, 1, parts_of_container())


def test_every_flipped_byte_of_a_container_that_goes_on_is_found(simulated: SimulatedStore) -> None:
    parts = [("header", 52), ("zeros of the header block", BLOCK - 52)]
    parts += [("record header", HEADER), ("record body", OPEN_BODY)]
    flip_all(simulated, 2, [*parts, ("padding", BLOCK - HEADER - OPEN_BODY)])


def test_each_record_is_named_by_its_own_bytes(simulated: SimulatedStore) -> None:
    _, file = simulated.file("000000000001.container")
    at = BLOCK
    for seed, size in enumerate(BODIES):
        for offset in (at, at + HEADER + size - 1):
            file.live[offset] ^= 1
            lost = [id_ for piece in found_in(simulated.store, 1) for id_, _ in piece.lost]
            assert lost == [make_id(seed)]
            file.live[offset] ^= 1
        at += HEADER + size
