"""`vaultctl scrub`: asks, follows, reports, and ends with the exit code of what was found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocol import messages as m
from tests.tools.vaultctl.conftest import Run
from tests.tools.vaultctl.fake_vault import FakeVault
from tools.vaultctl.commands import scrub

BEGIN_NS = 10**18
GOING = m.ScrubPass(7, BEGIN_NS, None, True, 1, 10**9, 800, 0, 0, 0, 0, 0)
WHOLE = m.ScrubPass(7, BEGIN_NS, BEGIN_NS + 10**11, True, 4, 5 * 10**9, 4000, 0, 0, 0, 0, 0)
OLDER = msgspec.structs.replace(WHOLE, number=6, records_damaged=99)
HITS = [
    m.SafesetHit("acme", "laptop", "home", 7, 1200, False),
    m.SafesetHit("acme", "laptop", "home", 9, 34, True),
    m.SafesetHit("beta", "server", "all", 12, 1, False),
]
Answers = Callable[..., None]


def state(going: m.ScrubPass | None, last: m.ScrubPass | None, *, in_doubt: bool = False) -> m.ScrubStateAnswer:
    return m.ScrubStateAnswer(going, last, 4, 5 * 10**9, in_doubt)


@pytest.fixture
def answers(vault: FakeVault, monkeypatch: pytest.MonkeyPatch) -> Answers:
    """What the vault says, one state after the other, the last again and again; hits come in two pages."""
    monkeypatch.setattr(scrub.time, "sleep", lambda _: None)

    def set_answers(*states: m.ScrubStateAnswer, hits: list[m.SafesetHit] | None = None) -> None:
        left = list(states)
        pages = {None: ((hits or [])[:1], b"a" * 44), b"a" * 44: ((hits or [])[1:], None)}
        vault.on("scrub.begin", lambda _: m.ScrubBeginAnswer(7))
        vault.on("scrub.state", lambda _: left.pop(0) if len(left) > 1 else left[0])
        vault.on("scrub.hit", lambda request: m.ScrubHitAnswer(*pages[request.after]))

    return set_answers


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_without_wait_it_only_asks(vault: FakeVault, operator: Path, run: Run, answers: Answers) -> None:
    answers(state(None, None))
    ended = run(operator, "scrub", "--json")
    assert (ended.exit_code, ended.json) == (0, {"number": 7})
    assert [name for name, _ in vault.asked] == ["scrub.begin"]


def test_it_waits_for_the_end_of_the_pass_that_it_asked_for(operator: Path, run: Run, answers: Answers) -> None:
    answers(state(None, OLDER), state(GOING, OLDER), state(None, WHOLE))
    ended = run(operator, "scrub", "--wait", "--json")
    assert ended.exit_code == 0
    summary = lines(ended.out)[-1]
    assert {key: summary[key] for key in ("type", "number", "records", "bytes", "safesets_hit", "in_doubt")} == {
        "type": "summary", "number": 7, "records": 4000, "bytes": 5 * 10**9, "safesets_hit": 0, "in_doubt": False,
    }  # fmt: skip
    status = next(line for line in lines(ended.out) if line["type"] == "status")
    assert (status["phase"], status["containers"], status["bytes"], status["bytes_total"]) == (
        "reading", 1, 10**9, 5 * 10**9,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "hits", "in_doubt", "exit_code"),
    [
        ({}, [], False, 0),
        ({"records_unused": 3, "alarms": 2}, [], False, 0),
        ({"records_damaged": 1}, [], False, 9),
        ({"places_damaged": 1}, [], False, 9),
        ({}, HITS, False, 9),  # from before
        ({"unread": 1}, [], False, 3),
        ({}, [], True, 3),
        ({"unread": 1, "records_damaged": 1}, HITS, True, 9),
    ],
)
def test_the_exit_code_says_what_was_found(
    operator: Path,
    run: Run,
    answers: Answers,
    found: dict[str, int],
    hits: list[m.SafesetHit],
    in_doubt: bool,  # noqa: FBT001
    exit_code: int,
) -> None:
    answers(state(None, msgspec.structs.replace(WHOLE, **found), in_doubt=in_doubt), hits=hits)
    assert run(operator, "scrub", "--wait").exit_code == exit_code


def test_it_waits_a_while_for_the_safesets_that_are_hit(operator: Path, run: Run, answers: Answers) -> None:
    damaged = msgspec.structs.replace(WHOLE, records_damaged=1)
    answers(state(GOING, None), state(None, damaged, in_doubt=True), state(None, damaged), hits=HITS)
    ended = run(operator, "scrub", "--wait", "--json")
    assert ended.exit_code == 9
    assert (lines(ended.out)[-1]["safesets_hit"], lines(ended.out)[-1]["in_doubt"]) == (3, False)


def test_every_safeset_that_is_hit_has_a_line_and_every_job_a_row(
    operator: Path, run: Run, answers: Answers
) -> None:
    answers(state(None, msgspec.structs.replace(WHOLE, records_damaged=1235)), hits=HITS)
    named = [line for line in lines(run(operator, "scrub", "--wait", "--json").out) if line["type"] == "hit"]
    assert [(hit["account"], hit["computer"], hit["job"], hit["number"], hit["records"]) for hit in named] == [
        ("acme", "laptop", "home", 7, 1200),
        ("acme", "laptop", "home", 9, 34),
        ("beta", "server", "all", 12, 1),
    ]
    ended = run(operator, "scrub", "--wait")
    assert "hint: run these jobs" in ended.err
    shown = [line.split() for line in ended.out.splitlines()]
    assert shown[-2:] == [
        ["acme", "laptop", "home", "2", "at", "least", "1,234", "7,", "9"],
        ["beta", "server", "all", "1", "1", "12"],
    ]
    assert ["records", "damaged", "1,235"] in shown
