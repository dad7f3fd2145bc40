"""Real SIGKILLs: one vault, agents that back up at once, and somebody who kills at random moments.

A round changes every tree and lets all agents run until each of them ended with 0; on the way some processes are
killed. Whoever ended otherwise is started again and goes on. Nothing is judged here but how programs end.
"""

from __future__ import annotations

import random
import select
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.end_to_end.conftest import Site
from tests.torture.agents import Agent, Told
from tests.torture.judge import Judge
from tests.torture.trees import Trees

TARGETS = {"vault": 45, "agents": 30, "both": 25}
# What a delay is counted from.
BEGINS = {"sent": 45, "acknowledged": 45, "any": 10}
DELAY_MS_MAX = 500.0
_DELAY_MS_MIN = 1.0
_POLL_SECONDS = 0.001
_ROUND_SECONDS = 180
_KILLS_OF_A_ROUND = (1, 4)


@dataclass(frozen=True, slots=True)
class Kill:
    """`waiting_bytes` were sent by agents that the kill hit and not acknowledged to them at that moment.
    `restart_seconds` is None where the vault was not killed, or did not come up.
    """

    target: str
    processes: int
    delay_ms: float
    waiting_bytes: int
    restart_seconds: float | None

    @property
    def is_during_upload(self) -> bool:
        return self.waiting_bytes > 0


def drawn_targets(source: random.Random) -> Iterator[str]:
    while True:
        yield source.choices(list(TARGETS), list(TARGETS.values()))[0]


@dataclass(frozen=True, slots=True)
class Chance:
    """What is drawn, but for what is in the trees. `targets` never ends."""

    source: random.Random
    targets: Iterator[str]
    delay_ms_max: float = DELAY_MS_MAX


class Killer:
    """Of one vault with its agents. A vault that does not come up ends the round with `NotReadyError`."""

    def __init__(self, site: Site, agents: list[Agent], trees: Trees, chance: Chance) -> None:
        self._kills: list[Kill] = []
        self._unexpected: list[str] = []
        self._site = site
        self._agents = agents
        self._trees = trees
        self._chance = chance
        self._source = chance.source
        # How many uploads its run had begun when a kill hit it: with another one it goes on as if nothing had been.
        self._hit: dict[Agent, int] = {}
        self._may_fail: set[Agent] = set()
        self._done: set[Agent] = set()

    def round(self, name: str, judge: Judge, kills_left: int) -> None:
        self._trees.change()
        judge.begin_round()
        self._done.clear()
        self._may_fail.clear()
        for agent in self._agents:
            agent.start()
        told_before = {agent: len(agent.runs) - 1 for agent in self._agents}
        for number in range(min(kills_left, self._source.randint(*_KILLS_OF_A_ROUND))):
            self._kill(f"{name}, kill {number + 1}")
            judge.look(f"{name}, kill {number + 1}", self._told_since(told_before))
        self._finish(name)
        judge.look(f"{name}, at its end", self._told_since(told_before))

    def take(self) -> tuple[list[Kill], list[str]]:
        """Kills and unexpected ends since the last call."""
        taken = self._kills, self._unexpected
        self._kills, self._unexpected = [], []
        return taken

    def _told_since(self, before: dict[Agent, int]) -> list[Told]:
        return [told for agent in self._agents for told in agent.runs[before[agent] :]]

    def _kill(self, name: str) -> None:
        delay_ms = self._wait_for_the_moment()
        victims = [agent for agent in self._agents if agent.is_running]
        target = next(self._chance.targets) if victims else "vault"
        some = self._source.sample(victims, self._source.randint(1, len(victims))) if victims else []
        hit = set(some if target == "agents" else victims)
        sizes = {agent: agent.told.size() for agent in hit if self._is_untouched(agent)}
        killed = [] if target == "vault" else some
        for agent in killed:
            agent.kill()
        self._may_fail |= hit
        self._hit |= {agent: agent.told.count_uploads() for agent in hit}
        seconds = None
        try:
            if target != "agents":
                seconds = self._restart(name)
        finally:
            waiting = sum(_waiting_bytes(agent.told, size) for agent, size in sizes.items())
            processes = len(killed) + (target != "agents")
            self._kills.append(Kill(target, processes, delay_ms, waiting, seconds))

    def _untouched(self) -> list[Agent]:
        """Whose run no kill has hit, or goes on since: one that a kill did hit may be about to end."""
        return [agent for agent in self._agents if agent.is_running and self._is_untouched(agent)]

    def _is_untouched(self, agent: Agent) -> bool:
        return agent not in self._may_fail or agent.told.count_uploads() > self._hit.get(agent, 0)

    def _restart(self, name: str) -> float:
        """The vault is killed and started; from the start of its process to the word that it listens."""
        exit_code = self._site.kill()
        if exit_code != -signal.SIGKILL:
            self._unexpected.append(f"{name}: the vault had ended by itself with {exit_code}")
        begin = time.monotonic()
        self._site.start()
        return time.monotonic() - begin

    def _wait_for_the_moment(self) -> float:
        """Some milliseconds after somebody began to send, or was told that something is durable, or after nothing."""
        (begin,) = self._source.choices(list(BEGINS), list(BEGINS.values()))
        if begin == "sent":
            self._pump_until(lambda: any(agent.told.is_sending() for agent in self._untouched()))
        elif begin == "acknowledged":
            self._pump_until(lambda: any(agent.told.is_acknowledged() for agent in self._untouched()))
        delay_ms = self._source.uniform(_DELAY_MS_MIN, self._chance.delay_ms_max)
        end = time.monotonic() + delay_ms / 1000
        self._pump_until(lambda: time.monotonic() >= end)
        return round(delay_ms, 3)

    def _finish(self, name: str) -> None:
        self._pump_until(lambda: False)
        for agent in self._agents:
            if agent not in self._done:
                self._unexpected.append(f"{name}: {agent.job} did not end with 0: {agent.output.read_text()[-500:]}")

    def _pump_until(self, is_there: Callable[[], bool]) -> None:
        """Starts again who ended because of a kill, until the condition holds or all agents are done."""
        end = time.monotonic() + _ROUND_SECONDS
        while not is_there() and time.monotonic() < end:
            running = [agent for agent in self._agents if agent.is_running]
            if not running:
                return
            for agent in running:
                if (code := agent.ended()) is not None:
                    self._take_end(agent, code)
            select.select([agent.descriptor for agent in running if agent.is_running], [], [], _POLL_SECONDS)

    def _take_end(self, agent: Agent, code: int) -> None:
        if code == 0:
            self._done.add(agent)
        elif agent in self._may_fail:
            self._may_fail.discard(agent)
            agent.start()
        # Else it stays down, and the end of the round tells.


def _waiting_bytes(told: Told, size: int) -> int:
    """When its tap had `size` bytes."""
    told.read(size)
    return told.waiting_bytes()
