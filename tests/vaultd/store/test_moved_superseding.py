"""A record that took the place of another one and was moved since stays where it is, also where the container of the
older one is looked through at each start, because damage was met in it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vaultd.store.fakes import KEY, KEYRING, flip, make_id, make_record, read, stored
from tests.vaultd.store.kept_house import SIZE, KeptHouse
from vaultd.store.containers.format import container_path

OTHER_KEY = b"o" * 16


ANEW = make_record(1, SIZE, key=OTHER_KEY)


@pytest.fixture
def house(tmp_path: Path) -> KeptHouse:
    """A record whose newer one was moved, beside damage."""
    house = KeptHouse(tmp_path)
    path = container_path(house.settings.disk_paths[0], 1)
    flip(path, path.read_bytes().index(make_record(2, SIZE)) + 500)
    house.rebuild()
    house.store.give_up_keys(KEYRING, [KEY])  # nobody can open the older record any more
    for record in (ANEW, *(make_record(seed, SIZE, key=OTHER_KEY) for seed in range(20, 24))):
        house.store.append(0, [stored(record)])
        house.store.commit()
    (place,) = house.store.locate(KEYRING, [make_id(1)])
    assert place is not None
    assert house.move(place.container)
    return house


def test_the_older_record_does_not_come_back_at_a_start(house: KeptHouse) -> None:
    for start in (house.restart, house.restart, house.rebuild, house.restart):
        start()
        assert house.store.missing(KEYRING, [make_id(1)]) == [False]
        assert read(house.store, 1) == ANEW


def test_it_does_not_come_back_while_neither_opens(house: KeptHouse) -> None:
    house.store.give_up_keys(KEYRING, [OTHER_KEY])
    for start in (house.restart, house.restart):
        start()
        assert house.store.missing(KEYRING, [make_id(1)]) == [True]
    house.store.take_back_keys(KEYRING, [OTHER_KEY])
    assert house.store.missing(KEYRING, [make_id(1)]) == [False]
    assert read(house.store, 1) == ANEW
