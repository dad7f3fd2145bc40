"""`vaultctl safeset list`: exactly the keys that scripts rely on."""

from pathlib import Path

import msgspec

from protocol import messages as m
from tests.tools.vaultctl.conftest import Run
from tests.tools.vaultctl.fake_vault import FakeVault

WHOLE = m.SafesetSummary(1, 10**18, True, 9, 1000, 10, "daily", 10**18, None, None, None, False, bytes(32))
PART = m.SafesetSummary(2, 10**18, False, 9, 1000, 10, "", 10**18, 10**18, None, None, True, bytes(32))


def test_json_is_the_contract(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("safeset.list", lambda _: m.SafesetListAnswer([WHOLE, PART], None))
    first, second = run(administrator, "safeset", "list", "office-1", "documents", "--json").json
    assert first == {
        "number": 1,
        "time": "2001-09-09T01:46:40.000000Z",
        "complete": True,
        "files": 9,
        "protected_bytes": 1000,
        "new_bytes": 10,
        "retention": "daily",
        "stored_at": "2001-09-09T01:46:40.000000Z",
        "replicated_at": None,
        "verified_at": None,
        "restore_tested_at": None,
        "damaged": False,
        "pinned": "",
        "distrusted": False,
        "in_doubt": False,
    }
    assert (second["complete"], second["damaged"]) == (False, True)


def test_people_see_what_is_not_whole(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("safeset.list", lambda _: m.SafesetListAnswer([WHOLE, PART], None))
    lines = run(administrator, "safeset", "list", "office-1", "documents").out.splitlines()
    assert lines[0].split()[0] == "SAFESET"
    assert lines[1].endswith("provisional, damaged"), "newest first"
    assert lines[2].endswith("stored")


def test_a_pinned_one_says_why(vault: FakeVault, administrator: Path, run: Run) -> None:
    pinned = msgspec.structs.replace(WHOLE, pinned="before the audit")
    vault.on("safeset.list", lambda _: m.SafesetListAnswer([pinned], None))
    lines = run(administrator, "safeset", "list", "office-1", "documents").out.splitlines()
    assert lines[1].endswith("pinned: before the audit")


def test_one_that_may_be_damaged_is_not_shown_as_stored(vault: FakeVault, administrator: Path, run: Run) -> None:
    doubted = msgspec.structs.replace(WHOLE, in_doubt=True)
    vault.on("safeset.list", lambda _: m.SafesetListAnswer([doubted], None))
    assert run(administrator, "safeset", "list", "office-1", "documents").out.splitlines()[1].endswith("looked for")


def test_none_yet(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("safeset.list", lambda _: m.SafesetListAnswer([], None))
    assert "no safeset yet" in run(administrator, "safeset", "list", "office-1", "documents").out


def test_all_pages_are_read(vault: FakeVault, administrator: Path, run: Run) -> None:
    place = b"p" * 12

    def page(request: m.SafesetListRequest) -> m.SafesetListAnswer:
        return m.SafesetListAnswer([PART], None) if request.after == place else m.SafesetListAnswer([WHOLE], place)

    vault.on("safeset.list", page)
    listed = run(administrator, "safeset", "list", "office-1", "documents", "--json").json
    assert [one["number"] for one in listed] == [1, 2]
