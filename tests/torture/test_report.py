"""What the torture says at its end, and with which exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.tables import render
from tests.torture.__main__ import conclude, main
from tests.torture.judge import Verdict
from tests.torture.kill_rounds import KillFigures
from tests.torture.kills import Kill
from tests.torture.power_losses import LossFigures
from tests.torture.report import Report

GOOD, IDLE, SLOW = Kill("vault", 1, 3.5, 100, 0.5), Kill("agents", 2, 3.5, 0, None), Kill("both", 3, 3.5, 100, 5.0)
QUICK, MIDDLE = Kill("vault", 1, 3.5, 100, 0.2), Kill("both", 3, 3.5, 100, 3.1)
LOSSES = LossFigures(seeds=9, falls=20)


def report(*kills: Kill, power: LossFigures = LOSSES, **found: list[str]) -> Report:
    verdict = Verdict(losses=found.get("losses", []), resent=found.get("resent", []), other=found.get("other", []))
    return Report(power, KillFigures(list(kills), verdict))


def table(shown: Report) -> str:
    """As it is in the page, from the raw file."""
    machine = {"processor": "", "cores": 2}
    origin = {"scenario": "torture", "start": "", "commit": "", "versions": {}, "machine": machine}
    return render(origin | {"samples": json.loads(json.dumps(shown.samples()))})


def test_a_good_report_has_no_shortcomings() -> None:
    good = report(GOOD, IDLE)
    assert good.shortcomings() == []
    assert dict(good.rows())["losses under kills"] == "0"
    assert conclude(good) == 0


def test_the_table_of_the_page_says_the_same() -> None:
    shown = table(report(GOOD, IDLE))
    for row in (
        "| real kills -9 | 2 |",
        "| kills during upload | 1 |",
        "| losses under kills | 0 |",
        "| slowest restart | 0.50 s |",
    ):
        assert row in shown


def test_the_bound_counts_seeds_and_kills_and_no_falls() -> None:
    good = report(GOOD, IDLE)
    rows = dict(good.rows())
    assert rows["95 % bound of a loss, a seed"] == "33.333 %"
    assert rows["95 % bound of a loss, a kill"] == "150.000 %"
    assert "| 95 % bound of a loss, a seed (a seed is one trial, its falls are not) | 33.333 % |" in table(good)
    assert "| 95 % bound of a loss, a kill (a kill is one trial) | 150.000 % |" in table(good)


def test_the_bound_of_a_part_that_lost_is_none() -> None:
    lost = report(GOOD, power=LossFigures(seeds=9, falls=20, failures={3: "gone"}))
    assert dict(lost.rows())["95 % bound of a loss, a seed"] == "none"
    assert "a seed (a seed is one trial, its falls are not) | none |" in table(lost)


def test_the_slowest_restart_is_what_is_reported() -> None:
    some = report(QUICK, MIDDLE, IDLE, GOOD)
    assert dict(some.rows())["slowest restart"] == "3.10 s (of 3)"
    assert "| slowest restart | 3.10 s |" in table(some)


def test_a_restart_that_never_was_is_no_quick_one() -> None:
    assert dict(report(IDLE).rows())["slowest restart"] == "not tried"
    assert "| slowest restart | not tried |" in table(report(IDLE))


def test_kills_that_were_not_tried_have_no_figures() -> None:
    shown = Report(LOSSES, KillFigures())
    names = [name for name, _ in shown.rows()]
    assert dict(shown.rows())["kills"] == "not tried"
    assert names[-1] == "kills"
    assert "| real kills -9 | not tried |\n\n" in table(shown)


def test_power_losses_that_were_not_tried_have_no_figures() -> None:
    shown = report(GOOD, power=LossFigures())
    assert [name for name, _ in shown.rows()][:2] == ["seeds of simulated power loss", "kills"]
    assert "| simulated power losses: seeds | not tried |\n| real kills -9 | 1 |" in table(shown)


def test_a_vault_that_failed_before_the_first_kill_was_tried() -> None:
    shown = report(losses=["it did not come up"])
    assert dict(shown.rows())["losses under kills"] == "1"
    assert "| losses under kills | 1 |" in table(shown)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (report(GOOD, losses=["record 12"]), "record 12"),
        (report(GOOD, resent=["record 13"]), "record 13"),
        (report(GOOD, other=["an agent hangs"]), "hangs"),
        (report(GOOD, IDLE, IDLE), "fewer than half"),
        (report(GOOD, SLOW), "a restart took 5.00 s"),
        (report(GOOD, power=LossFigures(9, 9, failures={7: "gone"})), "make torture SEEDS=1 KILLS=0 SEED=7"),
    ],
)
def test_a_report_names_each_shortcoming_and_ends_with_1(
    bad: Report, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert conclude(bad) == 1
    assert words in capsys.readouterr().out


def test_what_failed_too_often_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    conclude(report(GOOD, losses=[f"record {number}" for number in range(14)]))
    assert "and 4 more" in capsys.readouterr().out


def test_the_directory_that_is_kept_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    conclude(Report(LOSSES, KillFigures([GOOD], Verdict(losses=["gone"]), kept=Path("/somewhere/vault-7"))))
    assert "kept: /somewhere/vault-7" in capsys.readouterr().out


def test_the_raw_file_has_every_kill() -> None:
    samples = json.loads(json.dumps(report(GOOD, IDLE).samples()))
    kept = [(one["target"], one["restart_seconds"], one["is_during_upload"]) for one in samples[2:]]
    assert kept == [("vault", 0.5, True), ("agents", None, False)]


# Words that make no torture


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--seeds", "0", "--kills", "0"], "nothing is to be tried: give SEEDS or KILLS above 0"),
        (["--seeds", "-1", "--kills", "1"], "0 or more"),
        (["--seeds", "1", "--json", "/nowhere/at/all.json"], "there is no directory /nowhere/at"),
    ],
)
def test_nothing_tried_ends_with_2(words: Sequence[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
