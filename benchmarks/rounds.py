"""Rounds in which every tool does the same, in turn: what is compared was measured within minutes of each other."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import line
from benchmarks.line import Line
from benchmarks.tools import syncs
from benchmarks.tools.every_tool import TOOLS, absent_peers
from benchmarks.tools.tool import Sample, Tool
from benchmarks.warm_cache import warm

Act = Callable[[Tool, str, int], Sample]
PLACES, RESTORED = "places", "restored"  # beside the data, made before the first backup
# Without a delay an acknowledgement in the middle of a stream counts as a round trip.
COUNTING = Line(round_trip_ms=20)


def nothing(number: int) -> None:
    del number


@dataclass(frozen=True, slots=True)
class Phase:
    """One case: what every tool does (tool, case, round → sample), what is made of the data before (round), and which
    files it is about. What is not recorded only leads to what is.
    """

    case: str
    act: Act
    sources: Sequence[Path]
    prepare: Callable[[int], None] = nothing
    is_recorded: bool = True


@dataclass(frozen=True, slots=True)
class Contest:
    """Who takes part, where, how often, over which line; `is_extra`: also a round that counts and is not timed;
    `is_traced`: that one counts syncs too, under strace, which makes programs of many threads some ten times slower.
    """

    directory: Path
    tools: tuple[str, ...]
    rounds: int
    line: Line | None = None
    is_extra: bool = True
    is_traced: bool = True

    def present(self) -> list[str]:
        absent = absent_peers(self.tools)
        return [name for name in self.tools if name not in absent]


def rotated(names: Sequence[str], number: int) -> list[str]:
    """Nobody is always the first one."""
    first = number % len(names)
    return [*names[first:], *names[:first]]


def run_fresh(contest: Contest, phases: Sequence[Phase]) -> dict[str, Any]:
    """Every round begins with fresh places. The data go on changing from round to round; all tools see the same."""
    samples = []
    for number in range(contest.rounds):
        with opened(contest, f"round-{number}") as tools:
            samples += _run_phases(tools, phases, number)
    return _outcome(contest, samples, phases)


def run_settled(contest: Contest, settle: Sequence[Phase], phases: Sequence[Phase]) -> dict[str, Any]:
    """One place for each tool, which `settle` fills; then the same `phases` in every round."""
    samples = []
    with opened(contest, "settled") as tools:
        samples += _run_phases(tools, settle, 0)
        for number in range(contest.rounds):
            samples += _run_phases(tools, phases, number)
    return _outcome(contest, samples, [*settle, *phases])


@contextmanager
def opened(contest: Contest, name: str, *, is_counted: bool = False) -> Iterator[list[Tool]]:
    """The tools that are here, each with a fresh place, which is gone after the block. The directory that the data lie
    in stays as it is: no tool stores it anew because another one was at work.
    """
    way = COUNTING if is_counted and line.is_here() else contest.line
    for place in (PLACES, RESTORED):
        (contest.directory / place).mkdir(exist_ok=True)
    with ExitStack() as stack:
        directory = contest.directory / PLACES / name
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        yield [
            stack.enter_context(
                TOOLS[tool](directory / tool, way, is_traced=is_counted and contest.is_traced and syncs.is_here())
            )
            for tool in contest.present()
        ]


def _run_phases(tools: Sequence[Tool], phases: Sequence[Phase], number: int) -> list[Sample]:
    by_name = {tool.name: tool for tool in tools}
    samples = []
    for phase in phases:
        phase.prepare(number)
        source_bytes = sum(bytes_below(source) for source in phase.sources)
        for name in rotated(list(by_name), number):
            os.sync()  # what one tool has left to be written is not the next one's to wait for
            warm([*phase.sources, by_name[name].store])
            sample = phase.act(by_name[name], phase.case, number)
            print(f"  round {number + 1}, {phase.case}: {name} {sample['wall_seconds']:.2f} s", flush=True)
            if phase.is_recorded:
                samples.append({**sample, "source_bytes": source_bytes})
    return samples


def _outcome(contest: Contest, samples: list[Sample], phases: Sequence[Phase]) -> dict[str, Any]:
    """What a raw file holds of it. `counted`: samples of one more round, whose times are none."""
    counted = _counted(contest, phases) if contest.is_extra and (line.is_here() or syncs.is_here()) else []
    who = {"tools": list(contest.tools), "missing_peers": absent_peers(contest.tools)}
    return {**who, "samples": samples, "counted": counted}


def _counted(contest: Contest, phases: Sequence[Phase]) -> list[Sample]:
    """What passes the line and what is synced."""
    print("  one more round, which counts", flush=True)
    with opened(contest, "counted", is_counted=True) as tools:
        return _run_phases(tools, phases, contest.rounds)


def backup_of(source: Path, case: str, prepare: Callable[[int], None] = nothing) -> Phase:
    return Phase(case, lambda tool, case, number: tool.backup(case, number, source), [source], prepare)


def restore_of(source: Path, case: str, directory: Path) -> Phase:
    """The latest backup of `source` comes to a fresh place of the contest; in the first round it is compared.

    What came stays until the scenario's end: ext4 passes over inodes that were deleted within the last 35 seconds, one
    by one, so that whoever makes many files after a removal of many takes several times as long.
    """
    return Phase(case, lambda tool, case, number: _restored(tool, case, number, directory, source), [source])


def cold_restore_of(path: Path, case: str, directory: Path) -> Phase:
    """One file, by an agent without its caches."""

    def act(tool: Tool, case: str, number: int) -> Sample:
        with tool.cold():
            return _restored(tool, case, number, directory, path, path)

    return Phase(case, act, [path])


def _restored(tool: Tool, case: str, number: int, directory: Path, expected: Path, path: Path | None = None) -> Sample:
    target = directory / RESTORED / f"{case}-{number}-{tool.name}".replace(" ", "-")
    sample = tool.restore(case, number, target, path=path)
    if number == 0:
        demand_same(expected, target / expected.relative_to("/"))
    return sample


def bytes_below(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
    return sum(file.stat().st_size for file in files)


def demand_same(expected: Path, got: Path) -> None:
    """Errors: RuntimeError when a file is missing, is too much or has other content."""
    if expected.is_file():
        if expected.read_bytes() != got.read_bytes():
            raise RuntimeError(f"{got} is not as {expected}")
        return
    names = [sorted(str(path.relative_to(root)) for path in root.rglob("*")) for root in (expected, got)]
    if names[0] != names[1]:
        raise RuntimeError(f"{got} has not the names of {expected}: {sorted(set(names[0]) ^ set(names[1]))[:3]}")
    for name in names[0]:
        if (expected / name).is_file() and not (expected / name).is_symlink():
            demand_same(expected / name, got / name)
