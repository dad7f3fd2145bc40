"""Catalog rows: literal bytes, room for later fields, damage."""

from pathlib import Path

import msgpack
import pytest

from vaultd.catalog.audit import add_entry
from vaultd.catalog.database import Catalog, Position
from vaultd.catalog.keyrings import is_known_key, list_slots, save_slot
from vaultd.catalog.rows import decode, put
from vaultd.catalog.runs import active_run, list_runs_back, save_run
from vaultd.errors import Conflict, Damaged
from vaultd.records import AuditEntry, Identity, Invite, Keyring, Outcome, Role, Run, Slot

AT = Position(1, 1, bytes(32))
OWNER, OTHER = b"A" * 16, b"B" * 16


def test_a_row_is_the_array_of_its_fields() -> None:
    identity = Identity(b"i" * 16, OWNER, Role.OPERATOR, "op")
    _, key, value = put("identities", b"key", identity)
    assert key == b"key"
    assert msgpack.unpackb(value) == [b"i" * 16, OWNER, "operator", "op"]


def test_a_row_without_later_fields_still_reads() -> None:
    old = msgpack.packb([OWNER, "pc", 1, 2])
    assert decode("invites", b"k", old, Invite) == Invite(OWNER, "pc", 1, 2, bytes(16))


@pytest.mark.parametrize("value", [b"", b"\xc1", msgpack.packb([1, 2, 3, 4]), msgpack.packb({"a": 1})])
def test_a_damaged_row_names_table_and_key(value: bytes) -> None:
    with pytest.raises(Damaged, match=r"row 6b of the catalog's table invites is damaged"):
        decode("invites", b"k", value, Invite)


def test_a_row_with_more_fields_is_refused_and_not_called_damaged() -> None:
    value = msgpack.packb([b"K" * 16, OWNER, 1, 1, b"", 1, 0, "later"])
    with pytest.raises(Conflict, match="row 6b of the table keyrings was written by a later version"):
        decode("keyrings", b"k", value, Keyring)


def test_a_longer_array_inside_a_row_is_of_a_later_version_too() -> None:
    run = Run(b"r" * 16, OWNER, b"J" * 16, b"K" * 16, 1, 0)
    fields = msgpack.unpackb(put("runs", b"k", run)[2])
    fields[11].append(None)
    with pytest.raises(Conflict, match="later version"):
        decode("runs", b"k", msgpack.packb(fields), Run)


def test_runs_are_found_by_number_and_only_one_is_active(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog")
    runs = [
        Run(number.to_bytes(16, "big"), OWNER, b"J" * 16, b"K" * 16, number, 0, outcome=Outcome.ABORTED)
        for number in (1, 2, 300)
    ]
    running = Run(b"r" * 16, OWNER, b"J" * 16, b"K" * 16, 301, 0)
    foreign = Run(b"f" * 16, OTHER, b"J" * 16, b"K" * 16, 9, 0)
    for run in (*runs, running, foreign):
        catalog.apply(save_run(run), AT)
    with catalog.read() as view:
        assert [run.number for run in list_runs_back(view, OWNER, b"J" * 16)] == [301, 300, 2, 1]
        assert active_run(view, OWNER, b"J" * 16) == running
        assert active_run(view, OWNER, b"X" * 16) is None
    catalog.close()


def test_the_copies_of_a_slot_lie_under_two_keys(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog")
    keyring = Keyring(b"K" * 16, OWNER, 1, 1, b"", 1, 0)
    copies = [Slot(b"s" * 16, b"one", b"p"), Slot(b"s" * 16, b"two", b"p")]
    catalog.apply(save_slot(keyring, copies), AT)
    with catalog.read() as view:
        assert list(list_slots(view, OWNER, b"K" * 16)) == copies
        assert list(list_slots(view, OTHER, b"K" * 16)) == []
        assert view.get("slots", OWNER + b"K" * 16 + b"s" * 16 + b"\x01") is not None
        assert is_known_key(view, bytes(16))
        assert not is_known_key(view, b"k" * 16)
    catalog.close()


def test_audit_entries_are_numbered_per_account(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "catalog")
    entry = AuditEntry(1, "operator", "x", "y")
    for owner in (OWNER, OTHER, OWNER):
        with catalog.read() as view:
            changes = add_entry(view, owner, entry)
        catalog.apply(changes, AT)
    with catalog.read() as view:
        keys = [key for key, _ in view.scan("audit")]
    assert keys == [OWNER + bytes(7) + b"\x01", OWNER + bytes(7) + b"\x02", OTHER + bytes(7) + b"\x01"]
    catalog.close()


def test_a_value_that_only_a_later_version_knows_is_named_as_that():
    row = msgpack.packb([bytes(16), bytes(16), "auditor", "x"])
    with pytest.raises(Conflict, match="later version"):
        decode("identities", b"k", row, Identity)
