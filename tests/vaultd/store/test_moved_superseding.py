"""A record that took the place of another one and was moved since stays where it is, also where the container of the
older one is looked through at each start, because damage was met in it.
"""

from __future__ import annotations

from pathlib import Path

from tests.vaultd.store.fakes import KEY, KEYRING, flip, make_id, make_record, read, stored
from tests.vaultd.store.kept_house import SIZE, KeptHouse
from vaultd.store.containers.format import container_path

OTHER_KEY = b"o" * 16


def test_the_older_record_does_not_come_back_at_a_start(tmp_path: Path) -> None:
    house = KeptHouse(tmp_path)
    path = container_path(house.settings.disk_paths[0], 1)
    flip(path, path.read_bytes().index(make_record(2, SIZE)) + 500)
    house.rebuild()
    house.store.give_up_keys(KEYRING, [KEY])  # nobody can open the older record any more
    anew = make_record(1, SIZE, key=OTHER_KEY)
    for record in (anew, *(make_record(seed, SIZE, key=OTHER_KEY) for seed in range(20, 24))):
        house.store.append(0, [stored(record)])
        house.store.commit()
    (place,) = house.store.locate(KEYRING, [make_id(1)])
    assert place is not None
    assert house.move(place.container)
    for start in (house.restart, house.restart, house.rebuild, house.restart):
        start()
        assert house.store.missing(KEYRING, [make_id(1)]) == [False]
        assert read(house.store, 1) == anew
