"""A short share of `make torture`: simulated power losses by seeds, real kills of vault and agents, and that neither
judge is blind.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from blake3 import blake3

from tests.torture.agents import Acknowledged, Committed, Record, Sent, Told
from tests.torture.judge import Judge, Verdict
from tests.torture.kill_rounds import Plan, kill_often
from tests.torture.power_losses import LossFigures, lose_block
from tests.vaultd.store.fakes import create, flip, make_id, make_record, make_settings, stored
from vaultd.store.containers.format import container_path

# Chosen so that every patch of tests/sabotage that names these tests meets a seed that notices it.
FIRST_SEED, SEEDS = 1, 100
KILL_SEED, KILLS, AGENTS = 384, 4, 2
TARGETS = ("both", "agents", "vault", "agents")
DELAY_MS_MAX = 40.0  # the upload of two agents is short


def test_power_losses_take_nothing_that_was_acknowledged() -> None:
    figures = lose_block(FIRST_SEED, FIRST_SEED + SEEDS)
    assert figures.failures == {}
    assert figures.falls > SEEDS
    assert len(figures.points) > SEEDS // 3


def test_a_seed_gives_the_same_alone_as_among_others() -> None:
    together, alone = lose_block(FIRST_SEED, FIRST_SEED + 6), LossFigures()
    for seed in range(FIRST_SEED, FIRST_SEED + 6):
        alone.add(lose_block(seed, seed + 1))
    assert alone == together
    assert sum(alone.seeds_by_falls.values()) == 6


def test_kills_take_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    figures = kill_often(Plan(KILLS, KILL_SEED, AGENTS, DELAY_MS_MAX, tmp_path, TARGETS), lambda figures: None)
    verdict = figures.verdict
    assert (verdict.losses, verdict.resent, verdict.other) == ([], [], [])
    assert [kill.target for kill in figures.kills] == list(TARGETS)
    assert [kill.restart_seconds is None for kill in figures.kills] == [False, True, False, True]
    assert figures.restores == AGENTS
    assert list(tmp_path.iterdir()) == []
    assert verdict.acknowledged_records > 0
    assert verdict.safesets >= AGENTS


# The judge of the kills


def told(path: Path, *records: bytes, again: bool = False) -> Told:
    rows = [Record(record[8:24], record[40:72], blake3(record).digest(), len(record)) for record in records]
    run = Told(path)
    run.events = [Sent(rows), Acknowledged(rows)] + [Sent(rows)] * again
    return run


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """It has records 1 and 2."""
    store = create(make_settings(tmp_path))
    store.append(0, [stored(make_record(1)), stored(make_record(2))])
    store.commit()
    store.close()
    return tmp_path / "disk0"


def test_the_judge_finds_what_is_there(disk: Path, tmp_path: Path) -> None:
    verdict = Verdict()
    Judge([disk], verdict).look("here", [told(tmp_path / "tap", make_record(1), make_record(2))])
    assert verdict.is_clean
    assert verdict.acknowledged_records == 2


def test_the_judge_misses_what_is_not_there(disk: Path, tmp_path: Path) -> None:
    verdict = Verdict()
    Judge([disk], verdict).look("here", [told(tmp_path / "tap", make_record(2), make_record(3))])
    assert [make_id(3).hex()[:16] in loss for loss in verdict.losses] == [True]


def test_the_judge_misses_what_is_damaged_later(disk: Path, tmp_path: Path) -> None:
    verdict = Verdict()
    judge = Judge([disk], verdict)
    judge.look("before", [told(tmp_path / "tap", make_record(1), make_record(2))])
    flip(container_path(disk, 1), 4096 + 84 + 50)
    judge.look("after", [])
    assert [make_id(1).hex()[:16] in loss for loss in verdict.losses] == [True]


def test_the_judge_counts_what_is_sent_again(disk: Path, tmp_path: Path) -> None:
    verdict = Verdict()
    Judge([disk], verdict).look("here", [told(tmp_path / "tap", make_record(1), again=True)])
    assert verdict.resent_bytes == len(make_record(1))
    assert not verdict.is_clean


def test_the_judge_misses_a_safeset(disk: Path, tmp_path: Path) -> None:
    verdict = Verdict()
    judge = Judge([disk], verdict)
    run = told(tmp_path / "tap", make_record(1))
    run.events.append(Committed(b"r" * 360))
    judge.look("here", [run])
    judge.look_at_all("at the end", disk)
    assert len(verdict.losses) == 1
    assert "root" in verdict.losses[0]
