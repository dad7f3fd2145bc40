"""The catalog's environment: one transaction with its position, growth, order of rows, catching up, stopping."""

import threading
from pathlib import Path

import pytest

from vaultd.catalog.database import CATCH_UP_CHANGES, START, Catalog, Position
from vaultd.errors import Conflict, Damaged, Internal, Unavailable


def at(number: int) -> Position:
    return Position(1, number, bytes([number]) * 32)


def test_changes_and_position_are_written_together(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog")
    assert catalog.position() == START
    catalog.apply([("jobs", b"a", b"1"), ("jobs", b"b", b"2")], at(4))
    catalog.apply([("jobs", b"a", None), ("jobs", b"never there", None)], at(5))
    catalog.close()
    again = Catalog.open(tmp_path / "catalog")
    with again.read() as view:
        assert (view.get("jobs", b"a"), view.get("jobs", b"b")) == (None, b"2")
    assert again.position() == at(5)
    again.close()


def test_rows_of_an_owner_come_in_order_and_alone(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog")
    keys = [b"A1", b"A2", b"A3", b"B1", b"A" + b"\xff" * 8]
    catalog.apply([("jobs", key, b"x") for key in keys], at(1))
    with catalog.read() as view:
        assert [key for key, _ in view.scan("jobs", b"A")] == [b"A1", b"A2", b"A3", b"A" + b"\xff" * 8]
        assert [key for key, _ in view.scan_back("jobs", b"A")] == [b"A" + b"\xff" * 8, b"A3", b"A2", b"A1"]
        assert [key for key, _ in view.scan_back("jobs", b"B")] == [b"B1"]
        assert list(view.scan_back("jobs", b"C")) == []
        assert view.count("jobs") == 5
    catalog.close()


def test_the_map_grows_by_itself(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog", map_bytes=256 * 1024)
    rows = [("jobs", number.to_bytes(4, "big"), bytes(2000)) for number in range(1000)]
    catalog.apply(rows, at(1))
    with catalog.read() as view:
        assert view.count("jobs") == 1000
    catalog.close()


def test_growth_waits_for_readers_of_other_threads(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog", map_bytes=256 * 1024)
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with catalog.read() as view:
            inside.set()
            leave.wait(10)
            assert view.count("jobs") == 0

    reader = threading.Thread(target=hold)
    reader.start()
    inside.wait(10)
    rows = [("jobs", number.to_bytes(4, "big"), bytes(2000)) for number in range(1000)]
    writer = threading.Thread(target=catalog.apply, args=(rows, at(1)))
    writer.start()
    leave.set()
    reader.join()
    writer.join()
    assert catalog.position() == at(1)
    catalog.close()


def test_growth_under_the_own_view_is_refused_and_not_a_deadlock(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog", map_bytes=256 * 1024)
    rows = [("jobs", number.to_bytes(4, "big"), bytes(2000)) for number in range(1000)]
    with catalog.read(), pytest.raises(Internal, match="same thread"):
        catalog.apply(rows, at(1))
    catalog.close()


def test_after_a_failed_write_nothing_is_written(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog")
    with pytest.raises(Conflict, match="table nowhere was written by a later version"):
        catalog.apply([("jobs", b"a", b"1"), ("nowhere", b"a", b"1")], at(1))
    with pytest.raises(Unavailable):
        catalog.apply([("jobs", b"a", b"1")], at(2))
    with catalog.read() as view:
        assert view.get("jobs", b"a") is None
    assert catalog.position() == START
    catalog.close()


def test_catching_up_applies_entries_in_their_order(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog")
    entries = [
        (at(1), [("jobs", b"a", b"1")]),
        (at(2), []),
        (at(3), [("jobs", b"a", b"2"), ("jobs", b"b", b"3")]),
        (at(4), [("jobs", b"b", None)]),
    ]
    assert catalog.catch_up(entries) == 4
    with catalog.read() as view:
        assert list(view.rows()) == [("jobs", b"a", b"2")]
    assert catalog.position() == at(4)
    catalog.close()


def test_another_format_is_refused(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog")
    with catalog._environment.begin(write=True) as transaction:
        transaction.put(b"format", b"9", db=catalog._databases["meta"])
    catalog.close()
    with pytest.raises(Damaged, match="format b'9'"):
        Catalog.open(tmp_path / "catalog")


def test_a_map_that_is_more_than_half_full_grows_before_a_long_reader_begins(tmp_path: Path) -> None:
    """A writer that had to wait for it would keep every new reader waiting too."""
    catalog = Catalog.open(tmp_path / "catalog", map_bytes=1 << 20)
    catalog.make_room()
    assert catalog._environment.info()["map_size"] == 1 << 20
    catalog.apply([("jobs", number.to_bytes(4, "big"), bytes(990)) for number in range(600)], at(1))
    assert catalog._environment.info()["map_size"] == 1 << 20
    catalog.make_room()
    assert catalog._environment.info()["map_size"] == 1 << 21
    catalog.close()


def test_a_load_that_was_broken_off_leaves_nothing_to_the_next_one(tmp_path):
    """The next start may load another checkpoint, in which a token is gone that the first one still had."""

    def older():
        yield "tokens", b"removed", b"who"
        for number in range(CATCH_UP_CHANGES):
            yield "audit", number.to_bytes(8, "big"), b"x"
        raise KeyboardInterrupt

    catalog = Catalog.open(tmp_path / "catalog")
    with pytest.raises(KeyboardInterrupt):
        catalog.load(older(), Position(1, 10, b"a" * 32))
    catalog.close()
    catalog = Catalog.open(tmp_path / "catalog")
    assert catalog.position() == START
    catalog.load([("tokens", b"kept", b"who")], Position(1, 20, b"b" * 32))
    with catalog.read() as view:
        assert view.get("tokens", b"kept") == b"who"
        assert view.get("tokens", b"removed") is None
        assert view.get("audit", bytes(8)) is None
    catalog.close()
