"""Real SIGKILLs: one vault, agents that back up at once, and somebody who kills at random moments.

A round changes every tree and lets all agents run until each of them ended with 0; on the way some processes are
killed. Whoever ended otherwise is started again and goes on. Nothing is judged here but how programs end.
"""

from __future__ import annotations

import random
import select
import time
from dataclasses import dataclass

from tests.end_to_end.conftest import Site
from tests.torture.agents import Agent
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
    """`waiting_bytes` were sent by agents that the kill hit and not acknowledged to them at that moment."""

    target: str
    processes: int
    delay_ms: float
    waiting_bytes: int
    restart_seconds: float | None

    @property
    def is_during_upload(self) -> bool:
        return self.waiting_bytes > 0


class Killer:
    """Of one vault with its agents; all of chance comes from `source`, but for what is in the trees."""

    def __init__(
        self, site: Site, agents: list[Agent], trees: Trees, source: random.Random, delay_ms_max: float
    ) -> None:
        self._kills: list[Kill] = []
        self.unexpected: list[str] = []
        self._site = site
        self._agents = agents
        self._trees = trees
        self._source = source
        self._delay_ms_max = delay_ms_max
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
            self._kill(self._source.choices(list(TARGETS), list(TARGETS.values()))[0])
            judge.look(f"{name}, kill {number + 1}", self._told_since(told_before))
        self._finish(name)
        judge.look(f"{name}, at its end", self._told_since(told_before))

    def take_kills(self) -> list[Kill]:
        """Those since the last call."""
        taken, self._kills = self._kills, []
        return taken

    def _told_since(self, before: dict[Agent, int]) -> list:
        return [told for agent in self._agents for told in agent.runs[before[agent] :]]

    def _kill(self, target: str) -> None:
        delay_ms = self._wait_for_the_moment()
        victims = [agent for agent in self._agents if agent.is_running]
        if not victims:
            target = "vault"
        hit = set(victims)
        if target == "agents":
            hit = set(self._source.sample(victims, self._source.randint(1, len(victims))))
        sizes = {agent: agent.told.size() for agent in hit - self._may_fail}
        if target != "vault":
            killed = hit if target == "agents" else set(self._source.sample(victims, self._source.randint(1, len(hit))))
            for agent in killed:
                agent.kill()
        else:
            killed = set()
        seconds = self._restart() if target != "agents" else None
        self._may_fail |= hit
        for agent, size in sizes.items():
            agent.told.read(size)
        waiting = sum(agent.told.waiting_bytes() for agent in sizes)
        processes = len(killed) + (target != "agents")
        self._kills.append(Kill(target, processes, delay_ms, waiting, seconds))

    def _untouched(self) -> list[Agent]:
        """Whose run no kill has hit: one that a kill did hit may be about to end."""
        return [agent for agent in self._agents if agent.is_running and agent not in self._may_fail]

    def _restart(self) -> float:
        """The vault is killed and started; from the start of its process to the word that it listens."""
        self._site.kill()
        begin = time.monotonic()
        self._site.start()
        return time.monotonic() - begin

    def _wait_for_the_moment(self) -> float:
        """Some milliseconds after somebody began to send, or was told that something is durable, or after nothing."""
        (begin,) = self._source.choices(list(BEGINS), list(BEGINS.values()))
        if begin == "sent":
            self._pump_until(lambda: any(agent.told.size() for agent in self._untouched()))
        elif begin == "acknowledged":
            self._pump_until(lambda: any(agent.told.is_acknowledged() for agent in self._untouched()))
        delay_ms = self._source.uniform(_DELAY_MS_MIN, self._delay_ms_max)
        end = time.monotonic() + delay_ms / 1000
        self._pump_until(lambda: time.monotonic() >= end)
        return round(delay_ms, 3)

    def _finish(self, name: str) -> None:
        self._pump_until(lambda: False)
        for agent in self._agents:
            if agent not in self._done:
                self.unexpected.append(f"{name}: {agent.job} did not end with 0: {agent.output.read_text()[-500:]}")

    def _pump_until(self, is_there) -> None:
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
