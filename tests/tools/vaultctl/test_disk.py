"""`vaultctl disk`: the list, and declaring a disk lost."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocol import messages as m
from protocol.errors import ErrorCode, RemoteProtocolError
from tests.tools.vaultctl.conftest import Run
from tests.tools.vaultctl.fake_vault import FakeVault

FIRST = m.DiskSummary(0, bytes.fromhex("d0" * 16), "online", "/srv/a", 2 * 10**12, 10**12, 3, 3 * 10**8)
SECOND = m.DiskSummary(1, bytes.fromhex("d1" * 16), "offline", "/srv/b", 0, 0, 2, 2 * 10**8)
OLD = m.DiskSummary(None, bytes.fromhex("d2" * 16), "lost", "", 0, 0, 0, 0)
HITS = [
    m.SafesetHit("acme", "laptop", "home", 7, 1234, False),
    m.SafesetHit("beta", "server", "all", 12, 1, True),
]
WARNING = "/srv/b: the disk is offline"


@pytest.fixture
def disks(vault: FakeVault) -> FakeVault:
    """The hits come in two pages with an empty one between them."""
    pages = {None: (HITS[:1], b"a" * 44), b"a" * 44: ([], b"b" * 44), b"b" * 44: (HITS[1:], None)}

    def hit(request: m.DiskHitRequest) -> m.DiskHitAnswer:
        return m.DiskHitAnswer(*(pages[request.after] if request.disk in ("1", "d1" * 16) else ([], None)))

    def lost(request: m.DiskLostRequest) -> m.DiskLostAnswer:
        return m.DiskLostAnswer(msgspec.structs.replace(SECOND, state="offline" if request.undo else "lost"))

    vault.on("disk.list", lambda _: m.DiskListAnswer([FIRST, SECOND, OLD], [WARNING]))
    vault.on("disk.hit", hit)
    vault.on("disk.lost", lost)
    return vault


def hit(account: str, computer: str, job: str, number: int, records: int, at_least: bool) -> dict[str, Any]:
    fields = {"account": account, "computer": computer, "job": job, "number": number}
    return fields | {"records": records, "at_least": at_least}


HIT_DOCUMENTS = [hit("acme", "laptop", "home", 7, 1234, False), hit("beta", "server", "all", 12, 1, True)]


def test_the_list(disks: FakeVault, operator: Path, run: Run) -> None:
    document = run(operator, "disk", "list", "--json").json
    assert [(one["number"], one["state"], one["safesets_hit"]) for one in document] == [
        (0, "online", None),
        (1, "offline", 2),
        (None, "lost", 0),
    ]
    assert document[1] == {
        "number": 1,
        "disk_id": "d1" * 16,
        "state": "offline",
        "path": "/srv/b",
        "total_bytes": 0,
        "free_bytes": 0,
        "containers": 2,
        "record_bytes": 200_000_000,
        "safesets_hit": 2,
        "warnings": [WARNING],
        "vault_warnings": [],
    }
    shown = run(operator, "disk", "list")
    assert [line.split() for line in shown.out.splitlines()[1:]] == [
        ["0", "online", "1.0", "TB", "2.0", "TB", "3", "300.0", "MB", "-", "d0" * 16, "/srv/a"],
        ["1", "offline", "-", "-", "2", "200.0", "MB", "2", "d1" * 16, "/srv/b"],
        ["-", "lost", "-", "-", "0", "0", "B", "0", "d2" * 16, "-"],
    ]
    assert shown.err.splitlines() == [f"warning: {WARNING}"]


def test_a_warning_of_no_single_disk_is_in_the_document_too(disks: FakeVault, operator: Path, run: Run) -> None:
    """As of DIR/index without room: there every new record is refused."""
    others = ["/srv/vault/index: 5 bytes are free", "/srv/bee: the disk is offline"]
    disks.on("disk.list", lambda _: m.DiskListAnswer([FIRST, SECOND], [others[0], WARNING, others[1]]))
    done = run(operator, "disk", "list", "--json")
    assert [one["vault_warnings"] for one in done.json] == [others, others]
    assert [one["warnings"] for one in done.json] == [[], [WARNING]]
    assert len(done.out.splitlines()) == 1


def test_lost_names_what_is_hit(disks: FakeVault, operator: Path, run: Run) -> None:
    done = run(operator, "disk", "lost", "1", "--yes", "--json")
    assert (done.exit_code, done.json["hit"], done.json["disk"]["state"]) == (0, HIT_DOCUMENTS, "lost")
    assert [(one.disk, one.undo) for one in disks.requests("disk.lost")] == [("1", False)]
    lines = run(operator, "disk", "lost", "1", "--yes").out.splitlines()
    assert [line.split() for line in lines[1:3]] == [
        ["acme", "laptop", "home", "7", "1,234"],
        ["beta", "server", "all", "12", "at", "least", "1"],
    ]
    assert lines[3].startswith(f"Disk 1 ({'d1' * 16}) is lost. ")


def test_without_yes_nothing_is_declared_where_nobody_can_be_asked(disks: FakeVault, operator: Path, run: Run) -> None:
    done = run(operator, "disk", "lost", "1", "--json")
    assert (done.exit_code, done.json["hint"]) == (2, "see --dry-run, then give --yes")
    assert disks.requests("disk.lost") == []


def test_a_dry_run_declares_nothing(disks: FakeVault, operator: Path, run: Run) -> None:
    done = run(operator, "disk", "lost", "1", "--dry-run", "--json")
    assert (done.exit_code, done.json) == (0, {"disk": None, "hit": HIT_DOCUMENTS})
    assert run(operator, "disk", "lost", "1", "--dry-run").err == ""
    here = run(operator, "disk", "lost", "0", "--dry-run")
    assert here.out.splitlines() == ["No safeset uses anything on it.", "Nothing was declared."]
    assert here.err == "note: disk 0 is online: it cannot be declared lost as long as it is here\n"
    assert run(operator, "disk", "lost", "d0" * 16, "--dry-run", "--json").err != ""
    assert disks.requests("disk.lost") == []


def test_it_is_taken_back(disks: FakeVault, operator: Path, run: Run) -> None:
    done = run(operator, "disk", "lost", "1", "--undo", "--json")
    assert (done.exit_code, done.json["disk"]["state"], done.json["hit"]) == (0, "offline", [])
    assert [(one.disk, one.undo) for one in disks.requests("disk.lost")] == [("1", True)]
    assert "is not lost any more" in run(operator, "disk", "lost", "1", "--undo").out
    assert run(operator, "disk", "lost", "1", "--undo", "--dry-run").exit_code == 2


def test_a_disk_that_does_not_exist_is_told_before_anybody_is_asked(disks: FakeVault, operator: Path, run: Run) -> None:
    def refuse(_: m.DiskHitRequest) -> m.DiskHitAnswer:
        raise RemoteProtocolError(ErrorCode.not_found, "disk '7' does not exist")

    disks.on("disk.hit", refuse)
    assert run(operator, "disk", "lost", "7").exit_code == 4
    assert disks.requests("disk.lost") == []
