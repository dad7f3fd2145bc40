"""Rows on disk carry a checksum over key and value, and none is given out that does not hold it.

Rows are written and read here by LMDB itself; the checksum is BLAKE3's own.
"""

from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest
from blake3 import blake3

from vaultd.catalog.database import TABLES, Catalog, Position, View
from vaultd.errors import Damaged

AT = Position(1, 7, b"h" * 32)
POSITION_BYTES = b"\1\0\0\0" + b"\7\0\0\0\0\0\0\0" + b"h" * 32


def raw(path: Path, table: str) -> dict[bytes, bytes]:
    with lmdb.open(str(path), max_dbs=64) as environment:
        database = environment.open_db(table.encode())
        with environment.begin() as transaction:
            return dict(transaction.cursor(database))


def overwrite(path: Path, rows: dict[str, dict[bytes, bytes]]) -> None:
    with lmdb.open(str(path), max_dbs=64, map_size=1 << 26) as environment:
        databases = {table: environment.open_db(table.encode()) for table in rows}
        with environment.begin(write=True) as transaction:
            for table, values in rows.items():
                for key, value in values.items():
                    transaction.put(key, value, db=databases[table])


def closed(key: bytes, value: bytes) -> bytes:
    return value + blake3(key + value).digest()[:8]


def test_a_row_ends_with_the_checksum_of_key_and_value(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path)
    catalog.apply([("jobs", b"key", b"value"), ("audit", b"empty", b"")], AT)
    catalog.close()
    assert raw(tmp_path, "jobs") == {b"key": closed(b"key", b"value")}
    assert raw(tmp_path, "audit") == {b"empty": closed(b"empty", b"")}
    assert raw(tmp_path, "meta") == {b"format": b"2", b"position": closed(b"position", POSITION_BYTES)}


READS: dict[str, Callable[[View], object]] = {
    "get": lambda view: view.get("jobs", b"b"),
    "scan": lambda view: list(view.scan("jobs")),
    "scan_back": lambda view: list(view.scan_back("jobs", b"")),
    "rows": lambda view: list(view.rows()),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("change", [lambda value: bytes([value[0] ^ 1]) + value[1:], lambda value: value[:4]])
def test_a_row_that_was_changed_is_not_given_out(tmp_path: Path, read: str, change: Callable[[bytes], bytes]) -> None:
    catalog = Catalog.open(tmp_path)
    catalog.apply([("jobs", key, b"value") for key in (b"a", b"b", b"c")], AT)
    catalog.close()
    overwrite(tmp_path, {"jobs": {b"b": change(closed(b"b", b"value"))}})
    catalog = Catalog.open(tmp_path)
    with catalog.read() as view:
        assert view.get("jobs", b"a") == b"value"
        with pytest.raises(Damaged, match="row 62 of the catalog's table jobs is damaged") as caught:
            READS[read](view)
    catalog.close()
    assert "run `vaultd rebuild DIR`" in caught.value.hint


def test_a_row_under_the_key_of_another_is_not_given_out(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path)
    catalog.close()
    overwrite(tmp_path, {"tokens": {b"a": closed(b"b", b"somebody")}})
    catalog = Catalog.open(tmp_path)
    with catalog.read() as view, pytest.raises(Damaged, match="row 61 of the catalog's table tokens"):
        view.get("tokens", b"a")
    catalog.close()


def test_a_changed_position_is_not_believed(tmp_path: Path) -> None:
    """It would have entries of the journal passed over."""
    Catalog.open(tmp_path).close()
    overwrite(tmp_path, {"meta": {b"position": closed(b"position", POSITION_BYTES)[:-1] + b"!"}})
    catalog = Catalog.open(tmp_path)
    with pytest.raises(Damaged, match="table meta is damaged"):
        catalog.position()
    catalog.close()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A catalog of format 1, as an older program left it: rows are all value."""
    rows: dict[str, dict[bytes, bytes]] = {table: {} for table in TABLES}
    rows["audit"] = {number.to_bytes(8, "big"): bytes([number % 256]) * (number % 90) for number in range(3500)}
    rows["slots"] = {bytes([number]): bytes([number]) * 5000 for number in range(20)}
    rows["jobs"] = {b"empty": b"", b"long": b"x" * 100_000}
    overwrite(tmp_path, rows | {"meta": {b"format": b"1", b"position": POSITION_BYTES}})
    return tmp_path


def everything(path: Path) -> dict[str, dict[bytes, bytes]]:
    return {table: raw(path, table) for table in (*TABLES, "meta")}


def rows_of(catalog: Catalog) -> dict[str, dict[bytes, bytes]]:
    found: dict[str, dict[bytes, bytes]] = {table: {} for table in TABLES}
    with catalog.read() as view:
        for table, key, value in view.rows():
            found[table][key] = value
    return found


@pytest.mark.parametrize("map_bytes", [1 << 30, 1 << 19])
def test_a_catalog_of_format_1_gets_its_checksums(old: Path, map_bytes: int) -> None:
    before = everything(old)
    meta = before.pop("meta")
    catalog = Catalog.open(old, map_bytes)
    assert catalog.position() == AT
    assert rows_of(catalog) == before
    catalog.close()
    after = everything(old)
    assert after.pop("meta") == {b"format": b"2", b"position": closed(b"position", meta[b"position"])}
    assert after == {table: {key: closed(key, value) for key, value in rows.items()} for table, rows in before.items()}


def test_a_crash_while_checksums_are_added_leaves_format_1(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything(old)
    convert = Catalog._convert

    def crash(catalog: Catalog, transaction: object) -> None:
        convert(catalog, transaction)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Catalog, "_convert", crash)
        with pytest.raises(KeyboardInterrupt):
            Catalog.open(old)
    assert everything(old) == before


def test_a_check_reads_format_1_and_leaves_it(old: Path) -> None:
    before = everything(old)
    catalog = Catalog.open_read_only(old)
    assert catalog.position() == AT
    assert rows_of(catalog) == {table: rows for table, rows in before.items() if table != "meta"}
    catalog.close()
    assert everything(old) == before
