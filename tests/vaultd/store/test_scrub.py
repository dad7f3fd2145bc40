"""One container read from its disk: what is whole, what counts as damage, and what does not."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.vaultd.store.fakes import (
    KEYRING,
    create,
    flip,
    make_id,
    make_record,
    make_settings,
    now_ns,
    read,
    records,
    reopen,
    stored,
)
from vaultd.store import scrub as store_scrub
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import Handle, SystemDoor
from vaultd.store.errors import DiskMissing, RecordUnread
from vaultd.store.scrub import Piece
from vaultd.store.store_settings import StoreSettings

BLOCK = 4096
SIZE = 14_000  # of the records' bodies: four to a container
LENGTH = 84 + SIZE


class LyingDoor(SystemDoor):
    """What it reads for a scrub passes through `lie`, with how often that place of a container was read before."""

    def __init__(self) -> None:
        self.lie: Callable[[memoryview, int], None] = lambda view, times: None
        self.times: dict[int, int] = {}

    def read_uncached(self, handle: Handle, view: memoryview, offset: int) -> int:
        count = super().read_uncached(handle, view, offset)
        for at in range(offset, offset + count, BLOCK):
            self.lie(view[at - offset : at - offset + BLOCK], self.times.get(at, 0)) if at == BLOCK * 2 else None
            self.times[at] = self.times.get(at, 0) + 1
        return count


@pytest.fixture
def settings(tmp_path: Path) -> StoreSettings:
    return make_settings(tmp_path)


def filled(settings: StoreSettings, door: SystemDoor | None = None) -> ChunkStore:
    """Records 1 to 4 in a sealed container, in two groups, 5 and 6 in one that goes on."""
    store = create(settings, door)
    for seeds in ((1, 2), (3, 4), (5, 6)):
        store.append(0, records(*seeds, size=SIZE))
        store.commit()
    assert [row.is_sealed for row in store.containers()] == [True, False]
    return store


def path_of(settings: StoreSettings, number: int) -> Path:
    return settings.disk_paths[0] / f"containers/0000/{number:012x}.container"


def scrubbed(store: ChunkStore, number: int) -> Piece:
    row, open_rows = store.container_now(number)
    assert row is not None
    total = Piece()
    for piece in store.scrub.run(row, open_rows):
        for name in piece.__struct_fields__:
            setattr(total, name, getattr(total, name) + getattr(piece, name))
    return total


def lost(piece: Piece) -> list[bytes]:
    return [id_ for id_, _ in piece.lost]


def commit_found(store: ChunkStore, piece: Piece) -> None:
    store.scrub.note(piece)
    store.commit()


def hurt(settings: StoreSettings, seed: int, at: int = LENGTH - 1) -> None:
    """A bit of a record on the disk."""
    for number in (1, 2):
        path = path_of(settings, number)
        if (place := path.read_bytes().find(make_record(seed, SIZE))) >= 0:
            flip(path, place + at)


def test_what_is_whole_is_read_to_its_end(settings: StoreSettings) -> None:
    store = filled(settings)
    for row in store.containers():
        found = scrubbed(store, row.number)
        assert found.size_bytes == row.acknowledged_length == path_of(settings, row.number).stat().st_size
        assert found.records == (4 if row.is_sealed else 2)
        assert (found.damages, found.alarms, found.lost, found.well) == ([], [], [], [])


@pytest.mark.parametrize("seed", [1, 4, 5, 6])
@pytest.mark.parametrize("at", [0, 90, LENGTH - 1])
def test_a_damaged_record_is_named_and_missing_from_the_next_commit_on(
    settings: StoreSettings, seed: int, at: int
) -> None:
    store = filled(settings)
    hurt(settings, seed, at)
    found = scrubbed(store, 1 if seed < 5 else 2)
    assert (lost(found), found.unused, found.places) == ([make_id(seed)], 0, 0)
    assert make_id(seed).hex() in found.damages[0]
    commit_found(store, found)
    ids = [make_id(number) for number in range(1, 7)]
    assert store.missing(KEYRING, ids) == [number == seed for number in range(1, 7)]


@pytest.mark.parametrize("piece_bytes", [BLOCK, 3 * BLOCK])
def test_records_that_lie_in_several_pieces_are_whole_and_damaged_as_others(
    settings: StoreSettings, monkeypatch: pytest.MonkeyPatch, piece_bytes: int
) -> None:
    monkeypatch.setattr(store_scrub, "PIECE_BYTES", piece_bytes)
    store = filled(settings)
    assert scrubbed(store, 1).damages == []
    hurt(settings, 2, 10)
    hurt(settings, 3)
    assert lost(scrubbed(store, 1)) == [make_id(2), make_id(3)]


def test_what_a_container_lost_that_takes_no_more_records_is_found_by_the_journal(settings: StoreSettings) -> None:
    """After a start that met damage in it; a header that is damaged says no id any more."""
    filled(settings).close()
    hurt(settings, 5, 3)
    store = reopen(settings)
    assert store.container_now(2)[1] is None
    hurt(settings, 6)
    found = scrubbed(store, 2)
    assert set(lost(found)) == {make_id(5), make_id(6)}
    commit_found(store, found)
    assert store.missing(KEYRING, [make_id(5), make_id(6)]) == [True, True]


def test_a_container_without_its_directory_is_held_against_the_journal(settings: StoreSettings) -> None:
    store = filled(settings)
    path = path_of(settings, 1)
    flip(path, path.stat().st_size - BLOCK)  # the trailer
    found = scrubbed(store, 1)
    assert (found.places, found.records, lost(found)) == (1, 4, [])
    hurt(settings, 3)
    found = scrubbed(store, 1)
    assert (found.places, lost(found)) == (1, [make_id(3)])


def test_a_file_that_is_shorter_has_lost_what_it_lacks(settings: StoreSettings) -> None:
    store = filled(settings)
    with path_of(settings, 2).open("r+b") as file:
        file.truncate(BLOCK + LENGTH + 10)
    found = scrubbed(store, 2)
    assert lost(found) == [make_id(6)]
    assert "cut off" in found.damages[0]


def wrong(view: memoryview, times: int, upto: int) -> None:
    if times < upto:
        view[0] ^= 1


def refused(times: int, upto: int, number: int) -> None:
    if times < upto:
        raise OSError(number, "refused")


@pytest.mark.parametrize(("upto", "is_damage"), [(1, False), (2, True)])
def test_only_what_is_read_wrongly_twice_is_damage(settings: StoreSettings, upto: int, is_damage: bool) -> None:  # noqa: FBT001
    door = LyingDoor()
    store = filled(settings, door)
    door.lie = lambda view, times: wrong(view, times, upto)
    found = scrubbed(store, 1)
    assert lost(found) == ([make_id(1)] if is_damage else [])
    assert [bool(found.damages), bool(found.alarms)] == [is_damage, not is_damage]


@pytest.mark.parametrize(("upto", "is_damage"), [(1, False), (9, True)])
def test_what_the_disk_refuses_twice_is_damage(settings: StoreSettings, upto: int, is_damage: bool) -> None:  # noqa: FBT001
    door = LyingDoor()
    store = filled(settings, door)
    refusals = iter([True] * upto)
    door.lie = lambda _, __: refused(0, next(refusals, False), errno.EIO)
    found = scrubbed(store, 1)
    assert lost(found) == ([make_id(1)] if is_damage else [])
    assert found.records == 4
    assert [bool(found.damages), bool(found.alarms)] == [is_damage, not is_damage]


def test_a_disk_that_went_away_says_nothing_about_its_records(settings: StoreSettings) -> None:
    door = LyingDoor()
    store = filled(settings, door)
    (settings.disk_paths[0] / "disk.id").rename(settings.disk_paths[0] / "away")
    door.lie = lambda _, times: refused(times, 9, errno.EIO)
    with pytest.raises(DiskMissing):
        scrubbed(store, 1)


def test_the_want_of_memory_says_nothing_about_records(settings: StoreSettings) -> None:
    door = LyingDoor()
    store = filled(settings, door)
    door.lie = lambda _, times: refused(times, 9, errno.ENOMEM)
    with pytest.raises(RecordUnread):
        scrubbed(store, 1)


def test_a_flag_goes_where_the_record_reads_well_again(settings: StoreSettings) -> None:
    store = filled(settings)
    hurt(settings, 2)
    commit_found(store, scrubbed(store, 1))
    assert store.missing(KEYRING, [make_id(2)]) == [True]
    hurt_back(settings, 2)
    found = scrubbed(store, 1)
    assert [record.id for record, _ in found.well] == [make_id(2)]
    commit_found(store, found)
    assert store.missing(KEYRING, [make_id(2)]) == [False]
    assert read(store, 2) == make_record(2, SIZE)


def hurt_back(settings: StoreSettings, seed: int) -> None:
    path = path_of(settings, 1)
    flip(path, path.read_bytes().index(make_record(seed, SIZE)[:84]) + LENGTH - 1)


def test_a_damaged_record_that_was_sent_again_is_used_no_more(settings: StoreSettings) -> None:
    store = filled(settings)
    hurt(settings, 2)
    commit_found(store, scrubbed(store, 1))
    store.append(0, [stored(make_record(2, SIZE))])
    store.commit()
    found = scrubbed(store, 1)
    assert (lost(found), found.unused) == ([], 1)
    commit_found(store, found)
    assert read(store, 2) == make_record(2, SIZE)


def test_a_container_that_is_gone_counts_as_damaged_and_one_that_is_unknown_does_not(settings: StoreSettings) -> None:
    store = filled(settings)
    path_of(settings, 1).unlink()
    with pytest.raises(FileNotFoundError):
        scrubbed(store, 1)
    assert store.give_up_gone(1)
    assert store.missing(KEYRING, [make_id(1), make_id(5)]) == [True, False]
    assert not store.give_up_gone(2)
    assert not store.give_up_gone(77)
    assert store.container_now(77) == (None, None)


def test_a_disk_that_is_not_here_makes_no_container_gone(settings: StoreSettings, tmp_path: Path) -> None:
    store = filled(settings)
    settings.disk_paths[0].rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        scrubbed(store, 1)
    assert not store.give_up_gone(1)


def test_an_open_store_of_before_the_first_record_has_nothing_to_read(settings: StoreSettings) -> None:
    store = ChunkStore.create(settings, SystemDoor(), now_ns)
    assert store.containers() == []
