"""Kills by the number: rounds on one vault after another, and each vault looked through at its end."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.end_to_end.conftest import differences, restored
from tests.torture.judge import Judge, Verdict
from tests.torture.kills import DELAY_MS_MAX, Kill, Killer
from tests.torture.site import TorturedSite
from tests.torture.trees import Trees

AGENTS = 8
ROUNDS_OF_A_VAULT = 20


@dataclass(slots=True)
class KillFigures:
    kills: list[Kill] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    rounds: int = 0
    restores: int = 0


Tell = Callable[[KillFigures], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """The seed makes trees, targets and delays; what a kill hits is up to the machine."""

    kills: int
    seed: int
    agents: int = AGENTS
    delay_ms_max: float = DELAY_MS_MAX
    parent: Path | None = None


def kill_often(plan: Plan, tell: Tell) -> KillFigures:
    figures = KillFigures()
    if not plan.kills:
        return figures
    source = random.Random(plan.seed)
    tortured = TorturedSite(plan.agents, plan.seed, plan.parent)
    trees = Trees(tortured.trees, plan.seed)
    try:
        while len(figures.kills) < plan.kills and figures.verdict.is_clean:
            if figures.rounds:
                tortured.put_back()
            killer = Killer(tortured.site, tortured.agents, trees, source, plan.delay_ms_max)
            _torture(tortured, killer, figures, plan.kills, tell)
    finally:
        tortured.close()
    return figures


def _torture(tortured: TorturedSite, killer: Killer, figures: KillFigures, count: int, tell: Tell) -> None:
    """One vault from its first round to its last."""
    site, verdict = tortured.site, figures.verdict
    judge = Judge(site.disks, verdict)
    site.start()
    for _ in range(ROUNDS_OF_A_VAULT):
        figures.rounds += 1
        killer.round(f"round {figures.rounds}", judge, count - len(figures.kills))
        figures.kills += killer.take_kills()
        verdict.other += killer.unexpected
        if len(figures.kills) >= count or not verdict.is_clean:
            break
        tell(figures)
    _compare_restores(tortured, figures)
    site.stop()
    checked = site.check()
    if checked.exit_code or checked.last["findings"]:
        verdict.losses.append(f"round {figures.rounds}: vaultd check says {checked.last} {checked.error}")
    judge.look_at_all(f"round {figures.rounds}, at the end of the vault", site.vault)


def _compare_restores(tortured: TorturedSite, figures: KillFigures) -> None:
    for job, tree in zip(tortured.jobs, tortured.trees, strict=True):
        target = tortured.directory / f"restored-{job}-{figures.rounds}"
        tortured.site.restore(job, job, target)
        figures.restores += 1
        if wrong := differences(tree, restored(target, tree)):
            figures.verdict.losses.append(f"round {figures.rounds}: {job} came back with other files: {wrong[:5]}")
