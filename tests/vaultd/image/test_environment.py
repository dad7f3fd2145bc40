"""Full maps, maps that cannot grow, too many readers: room by itself, or a sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from vaultd.catalog.database import Catalog, Position
from vaultd.errors import Unavailable
from vaultd.image.environment import Environment
from vaultd.store.errors import StoreError
from vaultd.store.index.index import Index
from vaultd.store.index_rows import IndexBatch, IndexRecord

ROOT = Path(__file__).resolve().parents[3]
VAULT = b"v" * 16
PAGE = 4096


def at(number: int) -> Position:
    return Position(1, number, b"h" * 32)


@pytest.mark.parametrize("pages", [4, 5, 6, 8, 16, 64])
def test_every_writer_of_the_catalog_makes_room(tmp_path: Path, pages: int) -> None:
    """The tables themselves, the format, a load, emptying for another load, and a change."""
    rows = [("slots", number.to_bytes(2, "big"), bytes(3000)) for number in range(200)]
    catalog = Catalog.open(tmp_path, map_bytes=pages * PAGE)
    catalog.load(iter(rows), at(1))
    catalog.load(iter(rows[:100]), at(2))
    catalog.apply(rows[100:], at(3))
    catalog.close()
    catalog = Catalog.open(tmp_path, map_bytes=pages * PAGE)
    with catalog.read() as view:
        assert list(view.rows()) == rows
        assert view.position() == at(3)
    catalog.load(iter(rows), at(4))
    catalog.close()


@pytest.mark.parametrize("pages", [4, 5, 6, 8])
def test_every_writer_of_the_index_makes_room(tmp_path: Path, pages: int) -> None:
    ids = [number.to_bytes(32, "big") for number in range(3000)]
    index = Index.open(tmp_path, VAULT, map_bytes=pages * PAGE)
    index.apply(IndexBatch(records=[IndexRecord(b"k" * 16, id_, b"r" * 16, 1, 4096, 9, 1, bytes(32)) for id_ in ids]))
    assert index.present(b"k" * 16, ids) == set(ids)
    index.close()


@pytest.fixture
def one_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Environment.open.__func__  # type: ignore[attr-defined]
    monkeypatch.setattr(Environment, "open", classmethod(lambda cls, *words: opened(cls, *words[:3], 1)))


@pytest.mark.usefixtures("one_reader")
def test_too_many_readers_of_the_catalog_are_told(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path)
    with catalog.read(), pytest.raises(Unavailable, match="cannot be read: too many readers are at work at once"):
        catalog.position()
    assert catalog.position() == Position(1, 0, bytes(32))
    catalog.close()


@pytest.mark.usefixtures("one_reader")
def test_too_many_readers_of_the_index_are_told(tmp_path: Path) -> None:
    index = Index.open(tmp_path, VAULT)
    with index._reading(), pytest.raises(StoreError, match="cannot be read: too many readers are at work at once"):
        index.position()
    assert index.position() is None
    index.close()


LIMITED = """
import resource, sys
from pathlib import Path
from vaultd.catalog.database import Catalog, Position
from vaultd.store.index.index import Index
from vaultd.store.index_rows import IndexBatch, IndexRecord

def limit(more_bytes):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (used + more_bytes, resource.RLIM_INFINITY))

def catalog_row(catalog, number):
    catalog.apply([("slots", number.to_bytes(4, "big"), bytes(200_000))], Position(1, number, bytes(32)))

def index_row(index, number):
    ids = [(10_000 * number + at).to_bytes(32, "big") for at in range(2000)]
    index.apply(IndexBatch(records=[IndexRecord(b"k" * 16, one, b"r" * 16, number, 0, 0, 1, bytes(32)) for one in ids]))

def count(kind, opened):
    if kind == "index":
        return opened.record_count() // 2000
    with opened.read() as view:
        return sum(1 for _ in view.scan("slots"))

kind, path = sys.argv[1], Path(sys.argv[2])
write = {"catalog": catalog_row, "index": index_row}[kind]
opened = Catalog.open(path, 64 << 20) if kind == "catalog" else Index.open(path, b"v" * 16, 64 << 20)
write(opened, 1)
limit(40 << 20)
written = 1
try:
    while True:
        write(opened, written + 1)
        written += 1
except Exception as error:
    print(type(error).__name__, error)
try:
    write(opened, written + 1)
except Exception as error:
    print(type(error).__name__, error)
print(written > 20, count(kind, opened) == written)
"""


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [("catalog", "Unavailable", "Unavailable the catalog stopped"), ("index", "StoreBroken", "StoreBroken")],
)
def test_a_map_that_cannot_grow_stops_the_writer_and_reads_go_on(
    tmp_path: Path, kind: str, first: str, second: str
) -> None:
    """The address space has a limit below the next size; LMDB that tries it is left without any map."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, kind, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    stopped, again, last = done.stdout.splitlines()
    assert stopped.startswith(f"{first} ")
    assert "its map of 67108864 bytes is full and cannot grow" in stopped
    assert "raise the limit of address space" in stopped
    assert again.startswith(second)
    assert last == "True True"


CANNOT_OPEN = """
import resource, sys
from pathlib import Path
from vaultd.catalog.database import Catalog
from vaultd.store.index.index import Index
resource.setrlimit(resource.RLIMIT_AS, (600 << 20, resource.RLIM_INFINITY))
try:
    Catalog.open(Path(sys.argv[2])) if sys.argv[1] == "catalog" else Index.open(Path(sys.argv[2]), b"v" * 16)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(("kind", "name"), [("catalog", "Unavailable"), ("index", "StoreError")])
def test_without_address_space_nothing_is_called_damage(tmp_path: Path, kind: str, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CANNOT_OPEN, kind, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"{name} ")
    assert "not enough address space" in done.stdout
    assert "rebuild" not in done.stdout


def test_a_catalog_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"nonsense" * 2000)
    with pytest.raises(Exception, match="cannot be opened") as caught:
        Catalog.open(tmp_path)
    assert type(caught.value).__name__ == "Damaged"
