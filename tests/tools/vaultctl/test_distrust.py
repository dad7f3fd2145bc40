"""`vaultctl computer distrust`: which time is meant, and how it is told."""

from pathlib import Path

import pytest

from protocol import messages as m
from tests.tools.vaultctl.conftest import Run
from tests.tools.vaultctl.fake_vault import FakeVault

NOON_NS = 1_763_640_000 * 10**9  # 2025-11-20 12:00 UTC
MADE = m.LeaningSafeset("office-1", "documents", 7, NOON_NS, True, 3, False)
LEANS = m.LeaningSafeset("office-2", "mail", 9, NOON_NS, False, 1, True)


@pytest.fixture(autouse=True)
def answers(vault: FakeVault) -> None:
    """Two pages."""
    vault.on("computer.distrust", lambda _: m.ComputerDistrustAnswer(2, 2))
    pages = {None: m.ComputerLeaningAnswer([MADE], b"p" * 44), b"p" * 44: m.ComputerLeaningAnswer([LEANS], None)}
    vault.on("computer.leaning", lambda request: pages[request.after])


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("2025-11-20T12:00", NOON_NS),
        ("2025-11-20T12:00:00.250000Z", NOON_NS + 250_000_000),
        ("2025-11-20 13:00+01:00", NOON_NS),
        ("2025-11-20", NOON_NS - 12 * 3600 * 10**9),
    ],
)
def test_since(vault: FakeVault, administrator: Path, run: Run, text: str, expected_ns: int) -> None:
    assert run(administrator, "computer", "distrust", "office-1", "--since", text).exit_code == 0
    (request,) = vault.requests("computer.distrust")
    assert request == m.ComputerDistrustRequest("office-1", expected_ns, undo=False, dry_run=False)
    assert {asked.since_ns for asked in vault.requests("computer.leaning")} == {expected_ns}


def test_what_leans_on_it_is_shown(administrator: Path, run: Run) -> None:
    words = ("computer", "distrust", "office-1", "--since", "2025-11-20T12:00")
    told = run(administrator, *words, "--dry-run").out
    assert told.startswith("2 runs of office-1 since 2025-11-20 12:00:00 UTC would be distrusted.\n")
    assert [line.split()[-1] for line in told.splitlines()[3:]] == ["3", "1"]
    assert "at least 1" in told
    document = run(administrator, *words, "--undo", "--json").json
    assert (document["runs"], document["undo"], document["dry_run"]) == (2, True, False)
    assert [(one["job"], one["is_made"]) for one in document["safesets"]] == [("documents", True), ("mail", False)]


def test_no_time_is_usage(vault: FakeVault, administrator: Path, run: Run) -> None:
    assert run(administrator, "computer", "distrust", "office-1", "--since", "soon").exit_code == 2
    assert vault.asked == []


def test_a_time_in_the_future_is_usage(vault: FakeVault, administrator: Path, run: Run) -> None:
    done = run(administrator, "computer", "distrust", "office-1", "--since", "2999-01-01", "--json")
    assert (done.exit_code, vault.asked) == (2, [])
    assert done.json["message"] == "--since '2999-01-01' is in the future"
