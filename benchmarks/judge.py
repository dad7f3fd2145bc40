"""What a raw file says about us: ratios of what was measured in the same round, and whether a target is met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.targets import (
    AGENT_BYTES_MAX,
    CPU_SHARE_MAX,
    MIB,
    OURS,
    PEERS,
    STORED_SHARE_MAX,
    TARGETS,
    VAULT_BYTES_MAX,
)

Sample = dict[str, Any]
MET, MISSED = "met", "missed"


class ForeignSample(ValueError):
    """A sample stands in a row of ours that is of another suite."""


@dataclass(frozen=True, slots=True)
class Against:
    """Ours beside the peer that is best at it: figures of the same rounds, one over the other, and their median."""

    peer: str
    paired: list[float]

    @property
    def median(self) -> float:
        return median(self.paired)


class Outcome:
    """One raw file. Errors: ForeignSample."""

    def __init__(self, result: dict[str, Any]) -> None:
        self.scenario: str = result["scenario"]
        self._is_whole: bool = result["scale"] == "full"
        self.tools: list[str] = result["tools"]
        self.missing: list[str] = result["missing_peers"]
        self.cases = list(dict.fromkeys(sample["case"] for sample in result["samples"]))
        self._samples: list[Sample] = result["samples"]
        self._counted: list[Sample] = result["counted"]
        for sample in self._samples + self._counted:
            if sample["suite"] != OURS.get(sample["tool"], sample["suite"]):
                raise ForeignSample(f"{sample['tool']} in {self.scenario} has a sample in {sample['suite']}")

    def samples(self, case: str, tool: str) -> list[Sample]:
        return [sample for sample in self._samples if (sample["case"], sample["tool"]) == (case, tool)]

    def counted(self, case: str, tool: str) -> Sample:
        """Of the round that was not timed; empty where there was none."""
        found = [sample for sample in self._counted if (sample["case"], sample["tool"]) == (case, tool)]
        return found[-1] if found else {}

    def slowness(self, case: str, tool: str) -> Against | None:
        """The peer's wall time over ours, of the peer against which it is least. None: no peer was there."""
        found = self._against(case, tool, wall_seconds, is_peer_above=True)
        return min(found, key=lambda against: against.median, default=None)

    def share(self, case: str, tool: str, figure: Callable[[Sample], float]) -> Against | None:
        """Our `figure` over the peer's, of the peer against which it is most."""
        found = self._against(case, tool, figure, is_peer_above=False)
        return max(found, key=lambda against: against.median, default=None)

    def verdict(self, case: str, tool: str) -> str:
        """Of the target of ours in this case; empty where there is none. Nobody is beaten by being left out."""
        target = TARGETS.get((self.scenario, case, OURS.get(tool, "")))
        if target is None:
            return ""
        against = self.slowness(case, tool)
        if against is None:
            return "no peer"
        return self._with_reserve(MET if against.median >= target.ratio else MISSED, case, tool)

    def bounds(self, case: str, tool: str) -> list[tuple[str, str, str]]:
        """What else is bounded: name, our figure, verdict."""
        found = []
        shares = [("CPU seconds per GB, of the best peer's", cpu_seconds, CPU_SHARE_MAX)]
        if any(added_bytes(sample) for sample in self.samples(case, tool)):
            shares.append(("all that is stored, of the best peer's", stored_bytes, STORED_SHARE_MAX))
        for name, figure, most in shares:
            against = self.share(case, tool, figure)
            if against is not None:
                verdict = self._with_reserve(MET if against.median <= most else MISSED, case, tool)
                found.append((f"{name} (at most {most:.1f})", f"{against.median:.2f} of {against.peer}", verdict))
        return found + (self._memory(case, tool) if self.scenario == "million" else [])

    def _memory(self, case: str, tool: str) -> list[tuple[str, str, str]]:
        found = []
        for side, most in (("agent", AGENT_BYTES_MAX), ("vault", VAULT_BYTES_MAX)):
            peak = max(sample[f"{side}_peak_anonymous_bytes"] for sample in self.samples(case, tool))
            name = f"peak memory of the {side} (at most {most // MIB} MiB)"
            verdict = self._with_reserve(MET if peak <= most else MISSED, case, tool)
            found.append((name, f"{peak / MIB:.0f} MiB", verdict))
        return found

    def _with_reserve(self, verdict: str, case: str, tool: str) -> str:
        """Met is met only against all peers and with all data."""
        if verdict != MET:
            return verdict
        ours = {sample["round"] for sample in self.samples(case, tool)}
        missing = [
            peer
            for peer in PEERS
            if peer in self.missing
            or (peer in self.tools and ours.isdisjoint(sample["round"] for sample in self.samples(case, peer)))
        ]
        if missing:
            return f"open, without {' and '.join(missing)}"
        return MET if self._is_whole else "open, with less data"

    def _against(
        self, case: str, tool: str, figure: Callable[[Sample], float], *, is_peer_above: bool
    ) -> list[Against]:
        """One for each peer that has rounds in common with us and in them something to divide by."""
        found = []
        ours = {sample["round"]: figure(sample) for sample in self.samples(case, tool)}
        for peer in PEERS:
            theirs = {sample["round"]: figure(sample) for sample in self.samples(case, peer)}
            both = [(theirs[number], ours[number]) for number in ours if number in theirs]
            pairs = both if is_peer_above else [(mine, other) for other, mine in both]
            if pairs and all(below > 0 for _, below in pairs):
                found.append(Against(peer, [above / below for above, below in pairs]))
        return found


def wall_seconds(sample: Sample) -> float:
    return float(sample["wall_seconds"])


def cpu_seconds(sample: Sample) -> float:
    """Of all processes; every tool of a round has the same bytes before it."""
    return float(sample["agent_cpu_seconds"] + sample["vault_cpu_seconds"])


def added_bytes(sample: Sample) -> float:
    """By this operation; a restore adds nothing."""
    return float(sample["added_bytes"])


def stored_bytes(sample: Sample) -> float:
    """Of all operations until this one."""
    return float(sample["stored_bytes"])
