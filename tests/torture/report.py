"""What came out: a table for people, the raw figures for a file, and whether it is enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.torture.kill_rounds import KillFigures
from tests.torture.kills import TARGETS
from tests.torture.power_losses import LossFigures

RESTART_SECONDS_MAX = 5.0
NOT_TRIED = "not tried"
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Report:
    losses: LossFigures
    kills: KillFigures

    @property
    def slowest_restart_seconds(self) -> float:
        return max((kill.restart_seconds or 0.0 for kill in self.kills.kills), default=0.0)

    @property
    def kills_during_upload(self) -> int:
        return sum(kill.is_during_upload for kill in self.kills.kills)

    def shortcomings(self) -> list[str]:
        """Empty where every promise was kept."""
        verdict = self.kills.verdict
        found = [*_first(verdict.losses), *_first(verdict.resent), *_first(verdict.other)]
        found += _first(
            [
                f"seed {seed}: {failure.rstrip()}\n    again: {again(seed)}"
                for seed, failure in sorted(self.losses.failures.items())
            ]
        )
        if self.slowest_restart_seconds >= RESTART_SECONDS_MAX:
            found.append(f"a restart took {self.slowest_restart_seconds:.2f} s, allowed are {RESTART_SECONDS_MAX:.0f}")
        if 2 * self.kills_during_upload < len(self.kills.kills):
            found.append("fewer than half of the kills fell into an upload")
        return found

    def text(self) -> str:
        rows = self.rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:{width}}  {value}" for name, value in rows)

    def rows(self) -> list[tuple[str, str]]:
        losses, kills = self.losses, self.kills
        rows = [("seeds of simulated power loss", f"{losses.seeds:,}" if losses.seeds else NOT_TRIED)]
        rows += self._rows_of_losses() if losses.seeds else []
        rows += [("kills", self._kills_by_target() if kills.is_tried else NOT_TRIED)]
        return rows + (self._rows_of_kills() if kills.is_tried else [])

    def _rows_of_losses(self) -> list[tuple[str, str]]:
        losses, failed = self.losses, len(self.losses.failures)
        return [
            ("falls in them, also in recovery", f"{losses.falls:,}"),
            ("points (step, call, file) hit", f"{len(losses.points):,}"),
            ("seeds that lost something", f"{failed:,}"),
            ("95 % bound of a loss, a seed", bound(losses.seeds, failed)),
        ]

    def _rows_of_kills(self) -> list[tuple[str, str]]:
        kills, verdict = self.kills.kills, self.kills.verdict
        acknowledged = f"{verdict.acknowledged_records:,} records, {verdict.acknowledged_bytes / (1 << 20):,.0f} MiB"
        restarts = sum(kill.restart_seconds is not None for kill in kills)
        return [
            ("kills during upload", f"{self.kills_during_upload:,}"),
            ("acknowledged under kills", acknowledged),
            ("safesets, restores compared", f"{verdict.safesets:,}, {self.kills.restores:,}"),
            ("losses under kills", f"{len(verdict.losses):,}"),
            ("acknowledged bytes sent again", f"{verdict.resent_bytes:,}"),
            ("slowest restart", f"{self.slowest_restart_seconds:.2f} s (of {restarts:,})" if restarts else NOT_TRIED),
            ("95 % bound of a loss, a kill", bound(len(kills), len(verdict.losses))),
        ]

    def _kills_by_target(self) -> str:
        kills = self.kills.kills
        of_target = ", ".join(f"{target} {sum(kill.target == target for kill in kills):,}" for target in TARGETS)
        return f"{len(kills):,} ({of_target})"

    def samples(self) -> list[dict[str, Any]]:
        losses, verdict = self.losses, self.kills.verdict
        of_losses = {
            "case": "power losses", "seeds": losses.seeds, "falls": losses.falls, "points": sorted(losses.points),
            "failures": losses.failures, "seeds_by_falls": dict(sorted(losses.seeds_by_falls.items())),
        }  # fmt: skip
        of_kills = {"case": "kills", "rounds": self.kills.rounds, "restores": self.kills.restores} | asdict(verdict)
        kills = [
            {"case": "kill", "is_during_upload": kill.is_during_upload} | asdict(kill) for kill in self.kills.kills
        ]
        return [of_losses, of_kills, *kills]


def again(seed: int) -> str:
    """Repeats exactly this seed of the power losses."""
    return f"make torture SEEDS=1 KILLS=0 SEED={seed}"


def bound(trials: int, lost: int) -> str:
    """The rule of three: with no loss in so many independent trials, the chance of one is below this, 95 times of 100.
    A seed is one trial: its falls hit the same bytes.
    """
    return f"{300 / trials:.3f} %" if trials and not lost else "none"


def _first(sentences: Sequence[str]) -> list[str]:
    more = [f"and {len(sentences) - _SHOWN:,} more like this"] if len(sentences) > _SHOWN else []
    return [*sentences[:_SHOWN], *more]
