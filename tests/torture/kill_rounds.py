"""Kills by the number: rounds on one vault after another, and each vault looked through at its end."""

from __future__ import annotations

import random
import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from tests.end_to_end.conftest import NotReadyError, differences, restored
from tests.torture.judge import Judge, Verdict
from tests.torture.kills import DELAY_MS_MAX, Chance, Kill, Killer, drawn_targets
from tests.torture.site import TorturedSite
from tests.torture.trees import Trees

AGENTS = 8
ROUNDS_OF_A_VAULT = 20


@dataclass(slots=True)
class KillFigures:
    """A try that ended before its first kill is one as well."""

    kills: list[Kill] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    rounds: int = 0
    restores: int = 0
    kept: Path | None = None  # the directory of the vault that failed

    @property
    def is_tried(self) -> bool:
        return bool(self.kills) or not self.verdict.is_clean


Tell = Callable[[KillFigures], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """The seed makes trees, targets and delays; what a kill hits is up to the machine. `targets`, where there are some,
    come in their order, again and again.
    """

    kills: int
    seed: int
    agents: int = AGENTS
    delay_ms_max: float = DELAY_MS_MAX
    parent: Path | None = None
    targets: tuple[str, ...] = ()


def kill_often(plan: Plan, tell: Tell) -> KillFigures:
    """A failure ends it; the directory of that vault is kept."""
    figures = KillFigures()
    if not plan.kills:
        return figures
    source = random.Random(plan.seed)
    chance = Chance(source, cycle(plan.targets) if plan.targets else drawn_targets(source), plan.delay_ms_max)
    tortured = TorturedSite(plan.agents, plan.seed, plan.parent)
    trees = Trees(tortured.trees, plan.seed)
    try:
        while len(figures.kills) < plan.kills and figures.verdict.is_clean:
            if figures.rounds:
                tortured.put_back()
            killer = Killer(tortured.site, tortured.agents, trees, chance)
            _Vault(tortured, killer, figures, plan).torture(tell)
    finally:
        tortured.end_processes()
        if figures.verdict.is_clean:
            tortured.remove()
        else:
            figures.kept = tortured.directory
    return figures


@dataclass(slots=True)
class _Vault:
    """One vault from its first round to its last. What goes wrong is in the verdict: nothing is raised."""

    tortured: TorturedSite
    killer: Killer
    figures: KillFigures
    plan: Plan

    def torture(self, tell: Tell) -> None:
        verdict = self.figures.verdict
        try:
            judge = Judge(self.tortured.site.disks, verdict)
            self._make_rounds(judge, tell)
            self._compare_restores()
            self._look_through(judge)
        except NotReadyError as error:
            self._take_from_killer()
            verdict.losses.append(f"{self._where()}: it did not come up: {str(error).rstrip()}")
        except Exception as error:
            self._take_from_killer()
            last = "".join(traceback.format_tb(error.__traceback__)[-2:])
            verdict.other.append(f"{self._where()}: {type(error).__name__}: {error}\n{last}")

    def _make_rounds(self, judge: Judge, tell: Tell) -> None:
        figures, count = self.figures, self.plan.kills
        self.tortured.site.start()
        tell(figures)
        for _ in range(ROUNDS_OF_A_VAULT):
            figures.rounds += 1
            self.killer.round(self._where(), judge, count - len(figures.kills))
            self._take_from_killer()
            tell(figures)
            if len(figures.kills) >= count or not figures.verdict.is_clean:
                break

    def _take_from_killer(self) -> None:
        kills, unexpected = self.killer.take()
        self.figures.kills += kills
        self.figures.verdict.other += unexpected

    def _compare_restores(self) -> None:
        losses = self.figures.verdict.losses
        for job, tree in zip(self.tortured.jobs, self.tortured.trees, strict=True):
            target = self.tortured.directory / f"restored-{job}-{self.figures.rounds}"
            try:
                self.tortured.site.restore(job, job, target)
            except AssertionError as error:
                losses.append(f"{self._where()}: {job} does not restore: {error}")
                continue
            self.figures.restores += 1
            if wrong := differences(tree, restored(target, tree)):
                losses.append(f"{self._where()}: {job} came back with other files: {wrong[:5]}")
            else:
                shutil.rmtree(target)

    def _look_through(self, judge: Judge) -> None:
        site = self.tortured.site
        site.stop()
        checked = site.check()
        if checked.exit_code or not checked.lines or checked.last["findings"]:
            found = checked.last if checked.lines else ""
            self.figures.verdict.losses.append(f"{self._where()}: vaultd check says {found} {checked.error}")
        judge.look_at_all(f"{self._where()}, at the end of the vault", site.vault)

    def _where(self) -> str:
        """For people: what to run again, and where to look."""
        return f"seed {self.plan.seed}, round {self.figures.rounds}, {self.tortured.directory}"
