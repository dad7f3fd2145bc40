"""Dropping records and moving containers: what is needed reads back, what was dropped stays so, through every stop."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import msgspec
import pytest

from tests.vaultd.store.fakes import (
    KEYRING,
    Crash,
    CrashingDoor,
    RecordingDoor,
    WrappedDoor,
    flip,
    make_id,
    make_record,
    now_ns,
    read,
    records,
    reopen,
)
from tests.vaultd.store.kept_house import SIZE, KeptHouse
from vaultd.store.check.check import check_store
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.containers.format import container_path
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import StoreBroken, StoreError

# Containers 1 to 3 are sealed and have three records each, 4 is open and has the tenth.
FIRST = (1, 2, 3)


@pytest.fixture
def house(tmp_path: Path) -> KeptHouse:
    return KeptHouse(tmp_path)


def require_clean(house: KeptHouse) -> None:
    """By the offline check, which reads everything."""
    house.close()
    assert check_store(house.settings, SystemDoor(), read_data=True).findings == []
    house.reopen()


def test_what_is_dropped_is_missing_and_stays_so(house: KeptHouse) -> None:
    house.kill(1, 5, 10)
    house.require()
    for start in (house.restart, house.rebuild, house.restart):
        start()
        house.require()
    require_clean(house)


def test_what_somebody_needs_is_not_dropped(house: KeptHouse) -> None:
    assert house.drop(1, 2, 3, leased=(2,)) == 2
    assert [read(house.store, seed) is None for seed in FIRST] == [True, False, True]


def test_what_lies_in_a_container_that_came_later_is_not_dropped(house: KeptHouse) -> None:
    assert house.drop(*range(1, 11), newest=2) == 6
    assert [read(house.store, seed) is None for seed in range(1, 11)] == [True] * 6 + [False] * 4


def test_it_counts_as_missing_before_it_is_asked_who_needs_it(house: KeptHouse) -> None:
    store = house.store
    told = []

    def asked(ids):
        told.append((store.missing(KEYRING, [make_id(1), make_id(2)]), store.locate(KEYRING, [make_id(1)])))
        return [True] * len(ids)

    rows = [row for batch in store.house.rows(KEYRING) for row in batch if row[0][4:] == make_id(1)]
    assert store.house.drop(KEYRING, rows, 99, asked) == []
    assert told == [([True, False], [None])]
    assert store.missing(KEYRING, [make_id(1)]) == [False]


def test_who_looked_it_up_before_it_went_learns_that_it_goes(
    house: KeptHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He asked after it was asked who needs it, and found the row that is taken out a moment later."""
    store, looked_up, is_gone = house.store, threading.Event(), threading.Event()
    told: list[list[bool]] = []
    present = store._index.present

    def slowly(keyring, ids):
        found = present(keyring, ids)
        looked_up.set()
        assert is_gone.wait(20)
        return found

    monkeypatch.setattr(store._index, "present", slowly)
    reader = threading.Thread(target=lambda: told.append(store.missing(KEYRING, [make_id(1)])))

    def asked(ids):
        reader.start()
        assert looked_up.wait(20)
        return [False] * len(ids)

    rows = [row for batch in store.house.rows(KEYRING) for row in batch if row[0][4:] == make_id(1)]
    assert len(store.house.drop(KEYRING, rows, 99, asked)) == 1
    is_gone.set()
    reader.join()
    assert told == [[True]]


def test_what_is_sent_again_is_there_again(house: KeptHouse) -> None:
    house.kill(1)
    house.add(1)
    house.require()
    house.rebuild()
    house.require()
    house.kill(1)
    house.rebuild()
    house.require()


def test_a_row_that_does_not_hold_its_checksum_stays(house: KeptHouse) -> None:
    (rows,) = house.store.house.rows(KEYRING)
    key, value = next(row for row in rows if row[0][4:] == make_id(1))
    hurt = (key, bytes([value[0] ^ 1]) + value[1:])
    assert house.store.house.drop(KEYRING, [hurt], 99, lambda ids: [False] * len(ids)) == []
    house.require()


def test_a_moved_container_gives_its_space_back(house: KeptHouse) -> None:
    house.kill(1, 3)
    assert house.move(1)
    house.require()
    assert house.numbers() == [2, 3, 4]
    assert house.remove_files() == [1]
    assert house.files() == [2, 3, 4]
    for start in (house.restart, house.rebuild):
        start()
        house.require()
        assert house.numbers() == [2, 3, 4]
    require_clean(house)


def test_a_file_that_was_left_is_removed_by_the_next_start(house: KeptHouse) -> None:
    house.kill(1, 2, 3)
    assert house.move(1)
    house.close()
    assert house.files() == [1, 2, 3, 4]
    findings = check_store(house.settings, SystemDoor(), read_data=True).findings
    assert [(one.severity, "lies in others" in one.sentence) for one in findings] == [("note", True)]
    house.reopen()
    assert house.files() == [2, 3, 4]
    house.require()


def test_a_file_that_was_left_is_removed_by_a_rebuild(house: KeptHouse) -> None:
    """And nobody takes it for a container that the journal should know."""
    house.kill(1, 2, 3)
    assert house.move(1)
    house.close()
    shutil.rmtree(house.settings.index_path)
    house.store = ChunkStore.open(house.settings, SystemDoor(), now_ns)
    assert house.store.recover(lambda _: True).findings == []
    assert house.files() == [2, 3, 4]
    house.require()


def test_what_was_located_before_it_moved_is_read_where_it_is(house: KeptHouse) -> None:
    house.kill(1, 3)
    (before,) = house.store.locate(KEYRING, [make_id(2)])
    assert house.move(1)
    house.remove_files()
    assert before is not None
    assert house.store.read(before, make_id(2)) == make_record(2, SIZE)
    house.kill(2)
    with pytest.raises(StoreError, match="is not known"):
        house.store.read(before, make_id(2))


def test_the_file_stays_until_its_last_reader_let_go(tmp_path: Path) -> None:
    reads, may_go = threading.Event(), threading.Event()

    class SlowDoor(WrappedDoor):
        is_slow = False

        def read(self, handle, offset, length):
            if self.is_slow:
                reads.set()
                assert may_go.wait(20)
            return super().read(handle, offset, length)

    door = SlowDoor()
    house = KeptHouse(tmp_path, door=door)
    house.kill(1, 3)
    (place,) = house.store.locate(KEYRING, [make_id(2)])
    found: list[bytes] = []
    door.is_slow = True
    reader = threading.Thread(target=lambda: found.append(house.store.read(place, make_id(2))))
    reader.start()
    assert reads.wait(20)
    door.is_slow = False
    assert house.move(1)
    assert house.remove_files() == []
    assert 1 in house.files()
    may_go.set()
    reader.join()
    assert found == [make_record(2, SIZE)]
    assert house.remove_files() == [1]
    assert 1 not in house.files()


def test_open_ones_and_the_newest_are_not_moved(house: KeptHouse) -> None:
    assert sorted(house.store.house.can_move()) == [1, 2, 3]
    with pytest.raises(StoreError, match="is not one that can go"):
        house.store.house.retire(house.row(4))
    house.close()
    house.reopen()
    assert sorted(house.store.house.can_move()) == [1, 2, 3]


def test_damage_is_never_copied_and_its_container_stays(house: KeptHouse) -> None:
    house.kill(1)
    path = container_path(house.settings.disk_paths[0], 1)
    flip(path, path.read_bytes().index(make_record(2, SIZE)) + 500)
    assert not house.move(1)
    assert 1 in house.numbers()
    house.store.commit()
    assert house.store.missing(KEYRING, [make_id(2), make_id(3)]) == [True, False]
    house.store.append(0, records(2, size=SIZE))
    house.store.commit()
    assert house.move(1)
    house.require()
    house.rebuild()
    house.require()
    assert 1 not in house.numbers()


def test_a_container_whose_directory_cannot_be_read_stays(house: KeptHouse) -> None:
    path = container_path(house.settings.disk_paths[0], 1)
    flip(path, path.stat().st_size - 10)
    assert not house.move(1)
    house.require()


def test_a_move_is_durable_before_the_index_leads_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    door = RecordingDoor()
    house = KeptHouse(tmp_path, door=door)
    house.kill(1)
    row = house.row(1)
    copies = house.store.house.copies(house.store.house.needed_of(row) or [])
    assert copies is not None
    apply = house.store._index.apply
    monkeypatch.setattr(house.store._index, "apply", lambda batch: (door.calls.append(("index", "")), apply(batch)))
    door.calls.clear()
    house.store.house.move(row, copies)
    kinds = [name for name, path in door.calls if path.endswith((".container", "")) and name in ("fdatasync", "index")]
    assert kinds[-1] == "index"
    assert ("fdatasync", f"{max(house.files()):012x}.container") in door.calls[: door.calls.index(("index", ""))]
    assert 1 in house.numbers()


def test_what_took_another_place_meanwhile_is_not_moved_back(house: KeptHouse) -> None:
    row = house.row(1)
    places = house.store.house.needed_of(row)
    copies = house.store.house.copies(places or [])
    assert copies is not None
    house.kill(1)
    assert house.store.house.move(row, copies) == 2 * len(make_record(2, SIZE))
    house.require()


def test_what_was_planned_is_known_after_a_start(house: KeptHouse) -> None:
    house.store.house.plan([2, 1])
    house.restart()
    assert house.store.house.planned() == [1, 2]
    house.kill(1, 2, 3)
    assert house.move(1)
    assert house.store.house.planned() == [2]
    house.store.house.forget_planned([2])
    house.restart()
    assert house.store.house.planned() == []


def test_the_place_of_a_record_that_another_took_is_not_used_again(house: KeptHouse) -> None:
    """The one that came first reads well again, and its successor was moved."""
    path = container_path(house.settings.disk_paths[0], 1)
    at = path.read_bytes().index(make_record(1, SIZE)) + 500
    flip(path, at)
    with pytest.raises(StoreError):
        read(house.store, 1)
    house.store.commit()
    house.add(1, *range(11, 15))
    assert house.move(4)
    flip(path, at)
    (place,) = house.store.locate(KEYRING, [make_id(1)])
    assert place is not None
    assert place.container > 4
    house.rebuild()
    (after,) = house.store.locate(KEYRING, [make_id(1)])
    assert after is not None
    assert (after.container, after.offset) == (place.container, place.offset)


def _keep_house(house: KeptHouse) -> None:
    """What the daemon does, in its order; `live` and `dead` are as at its end."""
    house.drop(1, 3, 4)
    for number in {1, 2} & set(house.numbers()):
        house.move(number)
        house.remove_files()
    house.remove_files()


@pytest.mark.parametrize("torn", [False, True])
def test_a_stop_at_any_moment_loses_nothing(tmp_path: Path, *, torn: bool) -> None:
    (tmp_path / "made").mkdir()
    made = KeptHouse(tmp_path / "made")
    made.close()
    crash_at = 0
    while True:
        crash_at += 1
        root = tmp_path / str(crash_at)
        shutil.copytree(tmp_path / "made", root)
        house = KeptHouse.__new__(KeptHouse)
        house.settings = _settings_at(made, root)
        house.live, house.dead = set(range(1, 11)) - {1, 3, 4}, set[int]()
        door = CrashingDoor(1 << 30, torn=torn)
        house.store = reopen(house.settings, door)
        door.count, door.crash_at = 0, crash_at
        try:
            _keep_house(house)
        except (Crash, StoreBroken):
            is_over = False
        else:
            is_over = True
        house.close()
        for again in (house.reopen, house.rebuild):
            again()
            house.require()
        dropped = house.store.missing(KEYRING, [make_id(seed) for seed in (1, 3, 4)])
        assert len(set(dropped)) == 1  # all of them or none
        _keep_house(house)
        house.dead = {1, 3, 4}
        house.require()
        assert house.files() == house.numbers()
        require_clean(house)
        house.close()
        shutil.rmtree(root)
        if is_over:
            assert crash_at > 20
            return


def _settings_at(made: KeptHouse, root: Path):
    paths = [root / path.name for path in made.settings.disk_paths]
    return msgspec.structs.replace(made.settings, index_path=root / "index", disk_paths=paths)
