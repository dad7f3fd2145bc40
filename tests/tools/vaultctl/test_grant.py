"""`vaultctl safeset grant`, `grants`, `revoke`: what is asked, and how it is told."""

from pathlib import Path

import pytest

from protocol import messages as m
from tests.tools.vaultctl.conftest import Run
from tests.tools.vaultctl.fake_vault import FakeVault

SECOND = 10**9
GIVEN = m.GrantSummary("office-1", "documents", "office-2", 10**18, 10**18 + 60 * SECOND, None, True)
USED = m.GrantSummary("office-1", "documents", "office-2", 10**18, 10**18 + 60 * SECOND, 10**18 + SECOND, True)
OVER = m.GrantSummary("office-1", "documents", "office-2", 10**18, 10**18 + 60 * SECOND, None, False)
WORDS = ("office-1", "documents", "--to", "office-2")


@pytest.mark.parametrize(("words", "days"), [((), 7), (("--days", "30"), 30)])
def test_grant(vault: FakeVault, administrator: Path, run: Run, words: tuple[str, ...], days: int) -> None:
    vault.on("safeset.grant", lambda _: m.SafesetGrantAnswer(GIVEN))
    ended = run(administrator, "safeset", "grant", *WORDS, *words)
    assert ended.out == (
        "office-2 may restore job documents of office-1 once, with its password; to begin until"
        " 2001-09-09 01:47:40 UTC.\n"
    )
    (request,) = vault.requests("safeset.grant")
    assert request == m.SafesetGrantRequest("office-1", "documents", "office-2", days)
    document = run(administrator, "safeset", "grant", *WORDS, "--json").json
    assert (document["end"], document["first_used"], document["is_good"]) == ("2001-09-09T01:47:40.000000Z", None, True)


@pytest.mark.parametrize("days", ["0", "366"])
def test_days_are_bounded(vault: FakeVault, administrator: Path, run: Run, days: str) -> None:
    assert run(administrator, "safeset", "grant", *WORDS, "--days", days).exit_code == 2
    assert vault.asked == []


@pytest.mark.parametrize(("grant", "state"), [(GIVEN, "unused"), (USED, "in use"), (OVER, "over")])
def test_grants(vault: FakeVault, administrator: Path, run: Run, grant: m.GrantSummary, state: str) -> None:
    vault.on("safeset.grants", lambda _: m.SafesetGrantsAnswer([grant]))
    assert run(administrator, "safeset", "grants").out.splitlines()[1].endswith(state)
    (shown,) = run(administrator, "safeset", "grants", "--json").json
    assert (shown["computer"], shown["job"], shown["to"]) == ("office-1", "documents", "office-2")


def test_no_grants(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("safeset.grants", lambda _: m.SafesetGrantsAnswer([]))
    assert "vaultctl safeset grant" in run(administrator, "safeset", "grants").out


def test_revoke(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("safeset.revoke", lambda _: m.SafesetRevokeAnswer())
    ended = run(administrator, "safeset", "revoke", *WORDS)
    assert ended.out == "office-2 may not restore job documents of office-1 any more.\n"
    assert vault.requests("safeset.revoke") == [m.SafesetRevokeRequest("office-1", "documents", "office-2")]
