"""Collecting as an operator sees it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from protocol import messages as m
from tests.tools.vaultctl.conftest import Run
from tests.tools.vaultctl.fake_vault import FakeVault
from tools.vaultctl.commands import collect

GB = 10**9
SECOND_NS = 1_000_000_000
STARTED_NS = 10**17
NONE = m.CollectionStateAnswer(
    started_ns=STARTED_NS, number=0, is_trial=False, phase="none", begin_ns=None, end_ns=None, keyrings=0,
    keyrings_done=0, keyrings_left=0, left="", records=0, records_swept=0, records_marked=0, records_dropped=0,
    bytes_dropped=0, keys_dropped=0, containers=0, containers_moved=0, bytes_moved=0, bytes_given_back=0, problem="",
)  # fmt: skip
BEGUN = msgspec.structs.replace(
    NONE, number=7, phase="marking", begin_ns=10**18, keyrings=3, records=2_000_000, records_swept=500_000
)
MOVING = msgspec.structs.replace(BEGUN, phase="moving", containers=40, containers_moved=10)
ENDED = msgspec.structs.replace(
    MOVING, phase="ended", end_ns=10**18 + 90 * SECOND_NS, keyrings_done=3, records_marked=1_500_000,
    records_dropped=499_000, bytes_dropped=400 * GB, keys_dropped=2, containers_moved=40, bytes_moved=GB,
    bytes_given_back=399 * GB,
)  # fmt: skip


def answer(vault: FakeVault, states: Sequence[m.CollectionStateAnswer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "POLL_SECONDS", 0)
    waiting = list(states)
    vault.on("collection.start", lambda _: m.CollectionStartAnswer(7, STARTED_NS))
    vault.on("collection.state", lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0])


def test_it_waits_for_its_end(
    vault: FakeVault, operator: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(vault, [NONE, msgspec.structs.replace(ENDED, number=6), BEGUN, MOVING, ENDED], monkeypatch)
    done = run(operator, "collect")
    assert done.exit_code == 0
    assert [line.split("  ")[0] for line in done.out.splitlines()] == [
        "keyrings", "records marked", "records dropped", "run keys dropped", "containers moved", "space given back",
        "duration",
    ]  # fmt: skip
    assert "499,000 (400.0 GB)" in done.out
    assert "40 (1.0 GB copied)" in done.out
    assert vault.requests("collection.start") == [m.CollectionStartRequest(is_trial=False)]


def test_a_trial_says_what_would_go(
    vault: FakeVault, operator: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(vault, [msgspec.structs.replace(ENDED, is_trial=True)], monkeypatch)
    out = run(operator, "collect", "--dry-run").out
    assert "records to be dropped" in out
    assert "given back" not in out
    assert vault.requests("collection.start") == [m.CollectionStartRequest(is_trial=True)]


def test_scripts_get_lines_and_a_summary(
    vault: FakeVault, operator: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(vault, [BEGUN, ENDED], monkeypatch)
    done = run(operator, "collect", "--json")
    first, *_, last = map(json.loads, done.out.splitlines())
    assert (first["type"], first["phase"], first["end"]) == ("status", "marking", None)
    assert (last["type"], last["records_dropped"], last["end"]) == ("summary", 499_000, "2001-09-09T01:48:10.000000Z")


@pytest.mark.parametrize(
    ("changed", "exit_code", "told"),
    [
        ({"problem": "a disk is offline (/srv/b)"}, 1, "not collected: a disk is offline (/srv/b)"),
        ({"keyrings_left": 2, "left": "nobody knows"}, 3, "warning: 2 keyrings left as they are: nobody knows"),
    ],
)
def test_what_is_left_is_told(
    vault: FakeVault,
    operator: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, object],
    exit_code: int,
    told: str,
) -> None:
    answer(vault, [msgspec.structs.replace(ENDED, **changed)], monkeypatch)
    done = run(operator, "collect")
    assert done.exit_code == exit_code
    assert told in done.err


def test_another_ones_end_is_not_shown(
    vault: FakeVault, operator: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(vault, [BEGUN, msgspec.structs.replace(ENDED, number=8)], monkeypatch)
    done = run(operator, "collect")
    assert (done.exit_code, done.out, "how it ended" in done.err) == (1, "", True)
    assert {request.number for request in vault.requests("collection.state")} == {7}


def test_a_vault_that_began_anew_is_told(
    vault: FakeVault, operator: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(vault, [BEGUN, msgspec.structs.replace(NONE, started_ns=STARTED_NS + 1)], monkeypatch)
    done = run(operator, "collect")
    assert (done.exit_code, "began anew" in done.err) == (1, True)
