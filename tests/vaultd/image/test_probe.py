"""Files that are cut, empty of sense or not there, before this process opens them; and a probe that cannot look."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest

from vaultd.catalog.database import START, TABLES, Catalog
from vaultd.errors import Unavailable
from vaultd.image.probe import Image, look_at
from vaultd.store.index.index import Index
from vaultd.store.index_rows import IndexBatch, IndexRecord
from vaultd.store.position import Position

PAGE = 4096
VAULT = b"v" * 16
SIGBUS = 7


def make_index(path: Path) -> Image:
    chance = random.Random(1)
    records = [IndexRecord(b"k" * 16, chance.randbytes(32), b"r" * 16, 1, 4096, 100, 1, bytes(32)) for _ in range(2000)]
    index = Index.open(path, VAULT)
    index.apply(IndexBatch(records=records, position=Position(1, 1, bytes(32))))
    index.close()
    return Index.image(path)


def make_catalog(path: Path) -> Image:
    catalog = Catalog.open(path)
    catalog.apply([(table, bytes([number]) * 40, bytes(2000)) for table in TABLES for number in range(6)], START)
    catalog.close()
    return Catalog.image(path)


MAKERS = {"index": make_index, "catalog": make_catalog}


@pytest.fixture(params=MAKERS)
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Image:
    return MAKERS[request.param](tmp_path / request.param)


def faults_of(images: list[Image]) -> list[str]:
    return [look.fault for look in look_at(images)]


def data(image: Image) -> Path:
    return image.path / "data.mdb"


def test_a_whole_image_is_believed(image: Image) -> None:
    before = data(image).read_bytes()
    assert faults_of([image]) == [""]
    assert data(image).read_bytes() == before


@pytest.mark.parametrize("cut", [lambda pages: 1, lambda pages: 2, lambda pages: 3, lambda pages: pages // 2])
def test_a_cut_file_is_not_believed(image: Image, cut: Callable[[int], int]) -> None:
    pages = data(image).stat().st_size // PAGE
    with data(image).open("r+b") as file:
        file.truncate(cut(pages) * PAGE)
    (fault,) = faults_of([image])
    assert "page" in fault


def test_a_file_that_ends_within_a_page_is_not_believed(image: Image) -> None:
    with data(image).open("r+b") as file:
        file.truncate(data(image).stat().st_size // 2 // PAGE * PAGE + 100)
    assert faults_of([image]) != [""]


def test_zero_pages_are_not_believed(image: Image) -> None:
    size = data(image).stat().st_size
    data(image).write_bytes(data(image).read_bytes()[: 2 * PAGE] + bytes(size - 2 * PAGE))
    assert faults_of([image]) != [""]


@pytest.mark.parametrize("seed", range(4))
def test_garbage_in_half_of_the_pages_is_not_believed(image: Image, seed: int) -> None:
    chance = random.Random(seed)
    changed = bytearray(data(image).read_bytes())
    for page in range(2, len(changed) // PAGE, 2):
        changed[page * PAGE : (page + 1) * PAGE] = chance.randbytes(PAGE)
    data(image).write_bytes(changed)
    assert faults_of([image]) != [""]


def test_pages_that_changed_places_are_not_believed(image: Image) -> None:
    """Each is whole in itself."""
    changed = bytearray(data(image).read_bytes())
    middle = len(changed) // PAGE // 2
    one, other = (slice(page * PAGE, (page + 1) * PAGE) for page in (middle, middle + 2))
    changed[one], changed[other] = changed[other], changed[one]
    data(image).write_bytes(changed)
    assert faults_of([image]) != [""]


@pytest.mark.parametrize("lose", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_what_is_not_there_is_no_damage(image: Image, lose: Callable[[Path], object]) -> None:
    lose(data(image))
    assert faults_of([image]) == [""]


def test_a_lost_table_is_a_fault(tmp_path: Path) -> None:
    image = make_catalog(tmp_path / "catalog")
    changed = data(image).read_bytes().replace(b"safeset_hashes", b"safeset_hasheS")
    data(image).write_bytes(changed)
    assert faults_of([image]) == ["its table safeset_hashes is missing"]


def test_the_file_that_is_cut_would_have_killed_this_process(tmp_path: Path) -> None:
    """The damage of these tests is one that matters."""
    image = make_index(tmp_path / "index")
    with data(image).open("r+b") as file:
        file.truncate(3 * PAGE)
    code = (
        "import sys; from pathlib import Path; from vaultd.store.index.index import Index;"
        "list(Index.open(Path(sys.argv[1]), b'v' * 16).rows())"
    )
    assert subprocess.run([sys.executable, "-c", code, image.path], check=False).returncode == -SIGBUS


def pretend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    """Another program in the place of the Python that looks."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))


@pytest.mark.parametrize("name", ["BUS", "SEGV", "ABRT"])
def test_the_death_of_the_process_that_looks_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    image = make_catalog(tmp_path / "catalog")
    pretend(monkeypatch, tmp_path, f"echo begun; kill -{name} $$")
    (fault,) = faults_of([image])
    assert f"died of SIG{name}" in fault


@pytest.mark.parametrize(
    "text", ["exit 1", "echo begun; kill -KILL $$", "kill -SEGV $$", "exit 0", "echo begun; exit 1"]
)
def test_a_look_that_did_not_come_about_says_nothing_about_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """No module, no memory: the image may be whole, and may be the only one of its kind."""
    image = make_catalog(tmp_path / "catalog")
    pretend(monkeypatch, tmp_path, text)
    with pytest.raises(Unavailable, match="could not be looked through, which says nothing about it"):
        faults_of([image])


def test_without_a_program_to_look_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = make_catalog(tmp_path / "catalog")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    with pytest.raises(Unavailable, match="could not be looked through"):
        faults_of([image])


def test_it_looks_from_any_directory_and_runs_nothing_that_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_catalog(tmp_path / "catalog")
    (tmp_path / "lmdb.py").write_text("raise SystemExit(9)\n")
    monkeypatch.chdir(tmp_path)
    assert faults_of([image]) == [""]


ROOTS_AT = (16 + 24 + 40, 16 + 24 + 48 + 40)  # of the free pages and of the tables, in each of the two first pages
TRANSACTION_AT = 16 + 24 + 2 * 48 + 8


def number_at(changed: bytearray, at: int) -> int:
    return int.from_bytes(changed[at : at + 8], "little")


def test_a_list_of_free_pages_that_names_one_in_use_is_not_believed(image: Image) -> None:
    """Everything reads well, until the next write takes that page."""
    changed = bytearray(data(image).read_bytes())
    newest = max((0, PAGE), key=lambda at: number_at(changed, at + TRANSACTION_AT))
    free, tables = (number_at(changed, newest + at) for at in ROOTS_AT)
    row = free * PAGE + int.from_bytes(changed[free * PAGE + 16 : free * PAGE + 18], "little")
    count_at = row + 8 + 8
    assert 1 <= number_at(changed, count_at) < 500
    changed[count_at : count_at + 16] = (1).to_bytes(8, "little") + tables.to_bytes(8, "little")
    data(image).write_bytes(changed)
    (fault,) = faults_of([image])
    assert fault == f"page {tables} of the list of free pages is used twice"


def test_a_key_out_of_its_order_is_not_believed(image: Image) -> None:
    """The row is whole, and every look-up passes it by."""
    changed = bytearray(data(image).read_bytes())
    key = bytes([3]) * 40 if image.path.name == "catalog" else random.Random(1).randbytes(32)
    assert changed.count(key) >= 1
    data(image).write_bytes(changed.replace(key, bytes([key[0] ^ 0x80]) + key[1:]))
    (fault,) = faults_of([image])
    assert "keys that" in fault


@pytest.mark.parametrize("table", ["audit", "meta"])
def test_a_row_of_the_catalog_that_does_not_hold_its_checksum_is_a_fault(tmp_path: Path, table: str) -> None:
    image = make_catalog(tmp_path / "catalog")
    with lmdb.open(str(image.path), max_dbs=64, map_size=1 << 26) as environment:
        database = environment.open_db(table.encode())
        with environment.begin(write=True) as transaction:
            (*_, (key, value)) = transaction.cursor(database)
            transaction.put(key, value[:-1] + bytes([value[-1] ^ 1]), db=database)
    assert faults_of([image]) == [f"row {key.hex()} of its table {table} does not hold its checksum"]


def test_a_run_key_that_was_given_up_and_does_not_hold_its_checksum_is_a_fault(tmp_path: Path) -> None:
    image = make_index(tmp_path / "index")
    index = Index.open(tmp_path / "index", VAULT)
    index.give_up_keys(b"k" * 16, [b"r" * 16])
    index.close()
    assert faults_of([image]) == [""]
    key = b"given_up" + bytes([0, 0, 0, 1, 0, 0, 0, 1])
    whole = data(image).read_bytes()
    data(image).write_bytes(whole.replace(key, key[:-1] + b"\2"))
    assert faults_of([image]) == [f"row {key[:-1].hex()}02 of its table meta does not hold its checksum"]


def test_the_position_is_told_of_a_damaged_image_too(tmp_path: Path) -> None:
    """It says how much the journal must have. One that does not hold its checksum is not told."""
    image = make_index(tmp_path / "index")
    position = (1).to_bytes(4, "little") + (1).to_bytes(8, "little") + bytes(32)
    assert look_at([image]) == [("", position)]
    key = random.Random(1).randbytes(32)
    whole = data(image).read_bytes()
    data(image).write_bytes(whole.replace(key, bytes([key[0] ^ 0x80]) + key[1:]))
    (look,) = look_at([image])
    assert (bool(look.fault), look.position) == (True, position)
    data(image).write_bytes(whole.replace(b"position" + position, b"position" + position[:-1] + b"\1"))
    (look,) = look_at([image])
    assert (bool(look.fault), look.position) == (True, b"")
