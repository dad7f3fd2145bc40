"""The counters of the killer, with models of vault, agents and clock."""

from __future__ import annotations

import json
import os
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.end_to_end.conftest import NotReadyError
from tests.torture import kills
from tests.torture.agents import Told
from tests.torture.kills import Chance, Kill, Killer


def sent(number: int, length: int) -> dict[str, Any]:
    return {"sent": number, "lane": "bulk", "records": [["11" * 16, "22" * 32, "33" * 32, length]]}


def durable(number: int) -> dict[str, Any]:
    return {"durable": number, "lane": "bulk"}


class FirstChoice:
    """Instead of chance: kills come a millisecond after nothing, and hit everybody they may hit."""

    def choices(self, names: list[str], weights: list[int]) -> list[str]:
        return ["any"]

    def randint(self, least: int, most: int) -> int:
        return most

    def uniform(self, least: float, most: float) -> float:
        return least

    def sample(self, some: list[Any], count: int) -> list[Any]:
        return some[:count]


class World:
    """A vault that was killed so often, at a clock of its own."""

    def __init__(self) -> None:
        self.now, self.kills, self.fails, self.exit_code = 0.0, 0, False, -9
        self.before_it_dies: list[tuple[Path, dict[str, Any]]] = []

    def monotonic(self) -> float:
        self.now += 0.001
        return self.now

    def kill(self) -> int:
        self.now += 100
        self.kills += 1
        for path, line in self.before_it_dies:
            write(path, line)
        return self.exit_code

    def start(self) -> None:
        self.now += 7
        if self.fails:
            raise NotReadyError("the vault said nothing")


class ModelAgent:
    """Its run has these lines in the tap and goes on until the last kill."""

    def __init__(self, path: Path, world: World, lines: list[dict[str, Any]], ends_after: int = 1) -> None:
        self.job, self.path, self.world, self.lines, self.ends_after = path.name, path, world, lines, ends_after
        self.output = path
        self.runs: list[Told] = []
        self.is_running, self.is_killed = False, False
        self.descriptor = os.open(os.devnull, os.O_RDONLY)

    @property
    def told(self) -> Told:
        return self.runs[-1]

    def start(self) -> None:
        self.is_running, self.is_killed = True, False
        if not self.runs:
            self.runs.append(Told(self.path))
            for line in self.lines:
                write(self.path, line)

    def kill(self) -> None:
        self.is_killed = True
        self.world.kills += 1

    def ended(self) -> int | None:
        if self.world.kills < self.ends_after:
            return None
        self.is_running = False
        return -9 if self.is_killed else 0


def write(path: Path, line: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(kills, "time", made)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job-0"


def killed(world: World, target: str, *agents: ModelAgent, count: int = 1) -> tuple[list[Kill], list[str]]:
    """What one round with so many kills gives."""
    nothing: Any = SimpleNamespace(change=lambda: None, begin_round=lambda: None, look=lambda *rest: None)
    site: Any = world
    chance: Any = Chance(FirstChoice(), cycle([target]))  # type: ignore[arg-type]
    killer = Killer(site, list(agents), nothing, chance)  # type: ignore[arg-type]
    try:
        killer.round("round 1", nothing, count)
    except NotReadyError:
        pass
    finally:
        for agent in agents:
            os.close(agent.descriptor)
    return killer.take()


@pytest.mark.parametrize("target", ["vault", "agents", "both"])
@pytest.mark.parametrize(
    ("lines", "waiting_bytes"),
    [
        ([], 0),
        ([sent(0, 100)], 100),
        ([sent(0, 100), durable(0)], 0),
        ([sent(0, 100), sent(1, 30), durable(0)], 30),
    ],
)
def test_a_kill_is_during_upload_where_something_waits(
    world: World, path: Path, target: str, lines: list[dict[str, Any]], waiting_bytes: int
) -> None:
    (kill,), _ = killed(world, target, ModelAgent(path, world, lines))
    assert (kill.target, kill.waiting_bytes, kill.is_during_upload) == (target, waiting_bytes, waiting_bytes > 0)


def test_a_kill_without_an_agent_that_runs_is_of_the_vault_and_not_during_upload(world: World) -> None:
    (kill,), _ = killed(world, "agents")
    assert (kill.target, kill.processes, kill.is_during_upload) == ("vault", 1, False)


def test_what_is_sent_after_the_moment_of_the_kill_does_not_count(world: World, path: Path) -> None:
    world.before_it_dies.append((path, sent(0, 100)))
    (kill,), _ = killed(world, "vault", ModelAgent(path, world, []))
    assert not kill.is_during_upload


def test_an_upload_that_a_kill_hit_counts_once(world: World, path: Path) -> None:
    agent = ModelAgent(path, world, [sent(0, 100)], ends_after=2)
    found, _ = killed(world, "vault", agent, count=2)
    assert [kill.waiting_bytes for kill in found] == [100, 0]


def test_the_restart_is_from_the_start_of_the_process_to_its_word(world: World, path: Path) -> None:
    (kill,), _ = killed(world, "vault", ModelAgent(path, world, []))
    assert kill.restart_seconds == pytest.approx(7, abs=0.1)


def test_a_kill_of_agents_restarts_no_vault(world: World, path: Path) -> None:
    (kill,), _ = killed(world, "agents", ModelAgent(path, world, []))
    assert (kill.restart_seconds, kill.processes) == (None, 1)


def test_a_kill_after_which_the_vault_stays_down_is_counted(world: World, path: Path) -> None:
    world.fails = True
    (kill,), _ = killed(world, "vault", ModelAgent(path, world, [sent(0, 100)]))
    assert (kill.restart_seconds, kill.waiting_bytes) == (None, 100)


def test_a_vault_that_ended_by_itself_is_told(world: World, path: Path) -> None:
    world.exit_code = 1
    _, unexpected = killed(world, "vault", ModelAgent(path, world, []))
    assert unexpected == ["round 1, kill 1: the vault had ended by itself with 1"]
