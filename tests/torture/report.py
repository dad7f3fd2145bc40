"""What came out: a table for people, the raw figures for a file, and whether it is enough."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tests.torture.kill_rounds import KillFigures
from tests.torture.kills import TARGETS
from tests.torture.power_losses import LossFigures

RESTART_SECONDS_MAX = 5.0
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

    @property
    def lost(self) -> int:
        return len(self.losses.failures) + len(self.kills.verdict.losses)

    def shortcomings(self) -> list[str]:
        """Empty where every promise was kept."""
        verdict = self.kills.verdict
        found = [*verdict.losses[:_SHOWN], *verdict.resent[:_SHOWN], *verdict.other[:_SHOWN]]
        for seed, failure in list(self.losses.failures.items())[:_SHOWN]:
            again = f"python -m tests.torture --seeds 1 --kills 0 --seed {seed}"
            found.append(f"seed {seed}: {failure.rstrip()}\n    again: {again}")
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
        losses, kills, verdict = self.losses, self.kills.kills, self.kills.verdict
        of_target = ", ".join(f"{target} {sum(kill.target == target for kill in kills):,}" for target in TARGETS)
        acknowledged = f"{verdict.acknowledged_records:,} records, {verdict.acknowledged_bytes / (1 << 20):,.0f} MiB"
        return [
            ("seeds of simulated power loss", f"{losses.seeds:,}"),
            ("falls in them, also in recovery", f"{losses.falls:,}"),
            ("points (step, call, file) hit", f"{len(losses.points):,}"),
            ("kills", f"{len(kills):,} ({of_target})"),
            ("kills during upload", f"{self.kills_during_upload:,}"),
            ("acknowledged under kills", acknowledged),
            ("safesets, restores compared", f"{verdict.safesets:,}, {self.kills.restores:,}"),
            ("losses", f"{self.lost:,}"),
            ("acknowledged bytes sent again", f"{verdict.resent_bytes:,}"),
            ("slowest restart", f"{self.slowest_restart_seconds:.2f} s"),
            ("95 % bound of a loss", f"{bound(losses.falls, self.lost)} a fall, {bound(len(kills), self.lost)} a kill"),
        ]  # fmt: skip

    def samples(self) -> list[dict[str, Any]]:
        losses, verdict = self.losses, self.kills.verdict
        of_losses = {
            "case": "power losses", "seeds": losses.seeds, "falls": losses.falls, "points": sorted(losses.points),
            "failures": losses.failures,
        }  # fmt: skip
        of_kills = {"case": "kills", "rounds": self.kills.rounds, "restores": self.kills.restores} | asdict(verdict)
        return [of_losses, of_kills, *({"case": "kill"} | asdict(kill) for kill in self.kills.kills)]


def bound(tries: int, lost: int) -> str:
    """The rule of three: with none among so many, the chance of one is below this, 95 times of 100."""
    return f"{300 / tries:.3f} %" if tries and not lost else "none"
