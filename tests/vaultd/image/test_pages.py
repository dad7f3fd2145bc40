"""The walk over the pages of an LMDB file against what was put in, while rows come and go."""

import mmap
import random
from pathlib import Path

import lmdb
import pytest

from vaultd.image.pages import ImagePages

TABLES = ("one", "two", "three")
SIZES = (0, 1, 48, 60, 60, 60, 300, 1900, 2100, 5000, 40_000)
STEPS = 60

Model = dict[str, dict[bytes, bytes]]


def walked(path: Path) -> Model:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        pages = ImagePages(data)
        found = {
            name: {
                key: value for rows in pages.rows(name, tree) for key, value in zip(rows.keys, rows.values, strict=True)
            }
            for name, tree in pages.tables().items()
        }
        pages.check_free()
    return found


@pytest.mark.parametrize("seed", range(3))
def test_the_walk_finds_what_was_written(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    environment = lmdb.open(str(tmp_path), max_dbs=8, map_size=1 << 26, sync=False)
    databases = {name: environment.open_db(name.encode()) for name in TABLES}
    model: Model = {name: {} for name in TABLES}
    for step in range(STEPS):
        with environment.begin(write=True) as transaction:
            for _ in range(chance.choice((1, 5, 100, 500))):
                name = chance.choice(TABLES)
                key = chance.randbytes(chance.choice((1, 2, 36, 100)))
                if chance.random() < 0.7:
                    model[name][key] = chance.randbytes(chance.choice(SIZES))
                    transaction.put(key, model[name][key], db=databases[name])
                elif model[name]:
                    key = chance.choice(list(model[name]))
                    del model[name][key]
                    transaction.delete(key, db=databases[name])
            if step % 20 == 19:
                transaction.drop(databases["one"], delete=False)
                model["one"] = {}
        assert walked(tmp_path / "data.mdb") == model
    environment.close()
