"""Retention as an administrator sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol import messages as m
from tests.tools.vaultctl.conftest import Run
from tests.tools.vaultctl.fake_vault import FakeVault

DAY_NS = 24 * 3600 * 1_000_000_000
DAILY = m.RetentionSummary("daily", 30, 30, None, 30, 30, None)
SHORTER = m.RetentionSummary("weekly", 7, 5, 20_000 * DAY_NS, 90, 12, 20_007 * DAY_NS)
EXPIRE = m.LimitSummary("expire", None)
WAITING = m.LimitSummary("expire", 20_007 * DAY_NS)
WORDS = ("office-1", "documents", "12")


def test_types(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("retention.list", lambda _: m.RetentionListAnswer([DAILY, SHORTER], EXPIRE))
    lines = run(administrator, "retention", "list").out.splitlines()
    assert lines[1].split() == ["daily", "30", "30", "-", "alike"]
    assert lines[2].endswith("90 days, 12 copies; to confirm from 2024-10-11 00:00:00 on")
    assert lines[-2:] == ["Beyond 44 safesets of a job the oldest expire.", "None is kept for more than 365 days."]
    shown = run(administrator, "retention", "list", "--json").json
    assert (shown["over_limit"], shown["types"][1]["confirm"]) == ("expire", "2024-10-11T00:00:00.000000Z")


def test_a_type_is_set_or_confirmed(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("retention.set", lambda _: m.RetentionSetAnswer(SHORTER))
    vault.on("retention.confirm", lambda _: m.RetentionConfirmAnswer(DAILY))
    done = run(administrator, "retention", "set", "weekly", "--days", "7", "--copies", "5")
    assert done.out.splitlines() == [
        "weekly: a safeset expires beyond 7 days and 5 copies.",
        "Older ones are kept for 90 days and 12 copies; `--confirm` changes that from 2024-10-11 00:00:00 UTC on.",
    ]
    assert vault.requests("retention.set") == [m.RetentionSetRequest("weekly", 7, 5)]
    run(administrator, "retention", "set", "daily", "--confirm")
    assert vault.requests("retention.confirm") == [m.RetentionConfirmRequest("daily")]


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--days", "7"),
        ("--copies", "7"),
        ("--days", "7", "--copies", "5", "--confirm"),
        ("--days", "366", "--copies", "5"),
        ("--days", "7", "--copies", "45"),
    ],
)
def test_days_and_copies_or_a_confirmation(
    vault: FakeVault, administrator: Path, run: Run, words: tuple[str, ...]
) -> None:
    assert run(administrator, "retention", "set", "daily", *words).exit_code == 2
    assert vault.asked == []


def test_the_limit(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("retention.limit", lambda asked: m.RetentionLimitAnswer(m.LimitSummary(asked.over_limit, None)))
    done = run(administrator, "retention", "limit", "keep-and-bill")
    assert done.out == "Beyond 44 safesets of a job they stay, and those beyond 50 are billed.\n"
    wrong = run(administrator, "retention", "limit", "keep")
    assert wrong.exit_code == 2
    assert "'keep' is not one of 'expire', 'keep-and-bill'" in wrong.err


def test_a_limit_that_comes_back_is_confirmed(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("retention.limit", lambda _: m.RetentionLimitAnswer(WAITING))
    vault.on("retention.confirm_limit", lambda _: m.RetentionConfirmLimitAnswer(EXPIRE))
    done = run(administrator, "retention", "limit", "expire")
    first, second = done.out.splitlines()
    assert first == "Beyond 44 safesets of a job the oldest expire."
    assert second.startswith("Older ones stay and are not counted; `retention limit --confirm` changes that from ")
    assert second.endswith(" from 2024-10-11 00:00:00 UTC on.")
    assert run(administrator, "retention", "limit", "--confirm", "--json").json == {
        "over_limit": "expire", "confirm": None
    }  # fmt: skip
    assert vault.requests("retention.confirm_limit") == [m.RetentionConfirmLimitRequest()]
    assert run(administrator, "retention", "limit").exit_code == 2
    assert run(administrator, "retention", "limit", "expire", "--confirm").exit_code == 2
    assert len(vault.asked) == 2


def test_a_simulation_is_shown_newest_first(vault: FakeVault, administrator: Path, run: Run) -> None:
    old = m.SimulatedSafeset(1, 20_000 * DAY_NS, "daily", False, "terms", True, 20_031 * DAY_NS, "terms")
    new = m.SimulatedSafeset(2, 20_001 * DAY_NS, "daily", False, "newest", False, None, "")
    vault.on("retention.simulate", lambda _: m.RetentionSimulateAnswer([old, new]))
    lines = run(administrator, "retention", "simulate", "office-1", "documents").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["2", "1"]
    assert lines[1].endswith("the newest stays  -                    -")
    assert "held by a freeze" in lines[2]
    assert lines[2].endswith("2024-11-04 00:00:00  beyond days and copies")


def test_one_safeset_is_held_deleted_and_brought_back(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("safeset.pin", lambda _: m.SafesetPinAnswer())
    vault.on("safeset.unpin", lambda _: m.SafesetUnpinAnswer())
    vault.on("safeset.delete", lambda _: m.SafesetDeleteAnswer(20_007 * DAY_NS))
    vault.on("safeset.undelete", lambda _: m.SafesetUndeleteAnswer())
    assert run(administrator, "safeset", "pin", *WORDS, "--reason", "why").out == "Safeset 12 is pinned.\n"
    assert run(administrator, "safeset", "unpin", *WORDS).out == "Safeset 12 is not pinned any more.\n"
    deleted = run(administrator, "safeset", "delete", *WORDS, "--yes")
    assert deleted.out == "Safeset 12 is deleted; `undelete` brings it back until 2024-10-11 00:00:00 UTC.\n"
    back = run(administrator, "safeset", "undelete", *WORDS, "--reason", "why")
    assert back.out == "Safeset 12 is back, and pinned.\n"
    assert vault.requests("safeset.pin") == [m.SafesetPinRequest("office-1", "documents", 12, "why")]
    assert run(administrator, "safeset", "pin", *WORDS).exit_code == 2


def test_what_ended(vault: FakeVault, administrator: Path, run: Run) -> None:
    deleted = m.EndedSafeset(1, 20_000 * DAY_NS, "deleted", "administrator", 20_001 * DAY_NS, 20_008 * DAY_NS)
    purged = m.EndedSafeset(2, 20_000 * DAY_NS, "purged", "terms", 20_001 * DAY_NS, None)
    vault.on("safeset.ended", lambda _: m.SafesetEndedAnswer([deleted, purged]))
    lines = run(administrator, "safeset", "ended", "office-1", "documents").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["2", "1"]
    assert "purged" in lines[1]
    assert "beyond days and copies" in lines[1]
    assert "deleted by an administrator" in lines[2]
    assert lines[2].endswith("2024-10-12 00:00:00")


def test_a_job_is_frozen_and_thawed(vault: FakeVault, administrator: Path, run: Run) -> None:
    vault.on("job.freeze", lambda _: m.JobFreezeAnswer())
    frozen = run(administrator, "job", "freeze", "office-1", "documents", "--reason", "why")
    assert frozen.out == "Job documents is frozen: all its safesets stay.\n"
    thawed = run(administrator, "job", "unfreeze", "office-1", "documents")
    assert thawed.out == "Job documents is not frozen any more.\n"
    assert [one.reason for one in vault.requests("job.freeze")] == ["why", None]
