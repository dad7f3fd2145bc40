"""`vaultctl status`, and what holds for every command: the context."""

from pathlib import Path

import msgspec
import pytest

from protocol import messages as m
from protocol.errors import ErrorCode, RemoteProtocolError
from tests.tools.vaultctl.conftest import Run
from tests.tools.vaultctl.fake_vault import FakeVault
from tools.vaultctl.__main__ import main

DISK = m.DiskStatus(bytes.fromhex("d1" * 16), 1, "/srv/vault/disk-1", 2_000_000_000_000, 500_000_000_000)
STATUS = m.VaultStatus(
    vault_id=bytes.fromhex("f1" * 16),
    name="north",
    place="Hüllhorst, DE",
    version="0.1.0",
    started_ns=10**18,
    time_ns=10**18,
    accounts=1,
    computers=2,
    jobs=3,
    safesets=4,
    runs_active=0,
    records=1234567,
    record_bytes=10**12,
    containers=5,
    disks=[DISK],
    offline_disks=["/srv/vault/disk-2"],
    journal_number=77,
    connections=1,
)


WARNING = "/srv/vault/disk-2: the disk is offline"
LISTED = [
    m.DiskSummary(1, bytes.fromhex("d1" * 16), "online", "/srv/vault/disk-1", 2 * 10**12, 5 * 10**11, 3, 10**12),
    m.DiskSummary(2, bytes.fromhex("d2" * 16), "offline", "/srv/vault/disk-2", 0, 0, 0, 0),
    m.DiskSummary(3, bytes.fromhex("d3" * 16), "lost", "/srv/vault/disk-3", 0, 0, 0, 0),
]


NEVER_SCRUBBED = m.ScrubStateAnswer(None, None, 0, 0, False)


def answer_status(vault: FakeVault) -> None:
    vault.on("vault.status", lambda _: STATUS)
    vault.on("disk.list", lambda _: m.DiskListAnswer(LISTED, [WARNING]))
    vault.on("scrub.state", lambda _: NEVER_SCRUBBED)


def test_status(vault: FakeVault, operator: Path, run: Run) -> None:
    answer_status(vault)
    document = run(operator, "status", "--json").json
    assert document["name"] == "north"
    assert document["started"] == "2001-09-09T01:46:40.000000Z"
    assert document["disks"][0] == {
        "disk_id": "d1" * 16,
        "number": 1,
        "state": "online",
        "path": "/srv/vault/disk-1",
        "total_bytes": 2_000_000_000_000,
        "free_bytes": 500_000_000_000,
        "containers": 3,
        "record_bytes": 1_000_000_000_000,
    }
    assert [disk["state"] for disk in document["disks"]] == ["online", "offline", "lost"]
    assert document["offline_disks"] == ["/srv/vault/disk-2"]
    assert document["warnings"] == [WARNING]
    shown = run(operator, "status")
    assert shown.err.splitlines() == [f"warning: {WARNING}"]
    text = shown.out
    assert [line.split() for line in text.splitlines()][-3:] == [
        ["1", "online", "500.0", "GB", "2.0", "TB", "/srv/vault/disk-1"],
        ["2", "offline", "-", "-", "/srv/vault/disk-2"],
        ["3", "lost", "-", "-", "/srv/vault/disk-3"],
    ]
    assert "1,234,567 (1.0 TB)" in text
    assert "500.0 GB" in text


def test_the_context_may_be_in_the_environment(
    vault: FakeVault, operator: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer_status(vault)
    assert main.run(["status"]) == 2
    assert "$VAULTCTL_CONTEXT" in capsys.readouterr().err
    monkeypatch.setenv("VAULTCTL_CONTEXT", str(operator))
    assert main.run(["status"]) == 0


def test_a_context_that_others_may_read_is_not_used(vault: FakeVault, operator: Path, run: Run) -> None:
    operator.chmod(0o644)
    ended = run(operator, "status", "--json")
    assert (ended.exit_code, ended.json["hint"]) == (5, f"run: chmod 600 {operator}")
    assert vault.endpoints == []


@pytest.mark.parametrize(
    ("damaged", "in_doubt", "said"),
    [(0, False, "0"), (2, False, "2"), (2, True, "2; whether more are is being looked for")],
)
def test_damaged_safesets_are_shown(
    vault: FakeVault,
    operator: Path,
    run: Run,
    damaged: int,
    in_doubt: bool,
    said: str,  # noqa: FBT001
) -> None:
    told = msgspec.structs.replace(STATUS, safesets_damaged=damaged, safesets_in_doubt=in_doubt)
    vault.on("vault.status", lambda _: told)
    vault.on("disk.list", lambda _: m.DiskListAnswer(LISTED, []))
    vault.on("scrub.state", lambda _: NEVER_SCRUBBED)
    lines = run(operator, "status").out.splitlines()
    assert [line.split("  ", 1)[1].strip() for line in lines if line.startswith("safesets damaged")] == [said]


LAST = m.ScrubPass(3, 10**18, 10**18 + 10**12, False, 5, 10**12, 1234567, 2, 1, 0, 0, 4)
GOING = m.ScrubPass(4, 2 * 10**18, None, False, 1, 25 * 10**10, 300, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (NEVER_SCRUBBED, {"last scrub": "no scrub of everything has ended yet"}),
        (
            m.ScrubStateAnswer(GOING, LAST, 5, 10**12, False),
            {
                "last scrub": "ended 2001-09-09 02:03:20 (UTC), 1.0 TB; 3 damaged, 4 containers not read",
                "scrub now": "250.0 GB of 1.0 TB (25 %) since 2033-05-18 03:33:20; 0 damaged",
            },
        ),
    ],
)
def test_the_scrub_is_shown(
    vault: FakeVault, operator: Path, run: Run, state: m.ScrubStateAnswer, said: dict[str, str]
) -> None:
    answer_status(vault)
    vault.on("scrub.state", lambda _: state)
    lines = run(operator, "status").out.splitlines()
    shown = dict(map(str.strip, line.split("  ", 1)) for line in lines if "scrub" in line)
    assert shown == said
    document = run(operator, "status", "--json").json["scrub"]
    assert (document["last"] or {}).get("number") == (state.last.number if state.last else None)


def test_a_vault_that_has_no_scrub_is_shown_without(vault: FakeVault, operator: Path, run: Run) -> None:
    def unknown(_: m.ScrubStateRequest) -> m.ScrubStateAnswer:
        raise RemoteProtocolError(ErrorCode.unknown_method, "the vault has no method 'scrub.state'", "")

    answer_status(vault)
    vault.on("scrub.state", unknown)
    assert "scrub" not in run(operator, "status").out
    assert run(operator, "status", "--json").json["scrub"] is None
