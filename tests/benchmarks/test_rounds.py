"""Every tool does the same in every round, in an order that turns, and a restore is looked at."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from benchmarks import rounds
from benchmarks.bench import SCENARIOS
from benchmarks.compared.scale import SCALES
from benchmarks.environment import compiled_modules
from benchmarks.line import Line
from benchmarks.measure import Command
from benchmarks.rounds import Contest, backup_of, restore_of, run_fresh, run_settled
from benchmarks.targets import COMPARED, TARGETS
from benchmarks.tools import tool as operations
from benchmarks.tools.every_tool import TOOLS, absent_peers
from benchmarks.tools.tool import Facts, Tool
from tests.benchmarks.fake_programs import write_programs

DONE: list[tuple[str, str]] = []


class Copier(Tool):
    """Keeps copies and remembers who did what."""

    facts = Facts("none", "none", "none")

    def open(self) -> None:
        self.store = self.directory / "stored"
        self.store.mkdir()

    def close(self) -> None:
        pass

    def caches(self) -> list[Path]:
        return []

    def backup_command(self, source: Path, agent: int) -> Command:
        DONE.append((self.name, "backup"))
        kept = self.store / str(agent)
        shutil.rmtree(kept, ignore_errors=True)
        return Command(["cp", "-r", str(source), str(kept)])

    def restore_command(self, target: Path, back: int, path: Path | None) -> Command:
        DONE.append((self.name, "restore"))
        to = target / rounds_source(self).relative_to("/")
        to.parent.mkdir(parents=True)
        return Command(["cp", "-r", str(self.store / "0"), str(to)])


class Loser(Copier):
    """Loses a byte of the first file that it restores."""

    def restore_command(self, target: Path, back: int, path: Path | None) -> Command:
        command = super().restore_command(target, back, path)
        return Command(["sh", "-c", f"{' '.join(command.words)} && truncate -s -1 {command.words[-1]}/file"])


def rounds_source(tool: Tool) -> Path:
    return tool.directory.parents[2] / "data"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    DONE.clear()
    kinds = {name: type(name, (Copier,), {"name": name}) for name in ("a", "b", "c")}
    lost = {"loser": type("loser", (Loser,), {"name": "loser"})}
    monkeypatch.setattr(rounds, "TOOLS", kinds | lost)
    monkeypatch.setattr(rounds, "absent_peers", lambda names: [name for name in names if name == "absent"])
    data = tmp_path / "data"
    data.mkdir()
    (data / "file").write_bytes(b"content")
    return data


def test_the_order_turns_and_all_take_part_in_each_case(data: Path) -> None:
    contest = Contest(data.parent, ("a", "b", "c"), 2, is_extra=False)
    outcome = run_fresh(contest, [backup_of(data, "first"), restore_of(data, "restore", data.parent)])
    turns = [(sample["round"], sample["case"], sample["tool"]) for sample in outcome["samples"]]
    assert turns == [
        *((0, "first", tool) for tool in "abc"),
        *((0, "restore", tool) for tool in "abc"),
        *((1, "first", tool) for tool in "bca"),
        *((1, "restore", tool) for tool in "bca"),
    ]
    assert {sample["source_bytes"] for sample in outcome["samples"]} == {7}
    assert [action for _, action in DONE] == ["backup"] * 3 + ["restore"] * 3 + ["backup"] * 3 + ["restore"] * 3


def test_a_settled_place_is_filled_once(data: Path) -> None:
    contest = Contest(data.parent, ("a", "b"), 3, is_extra=False)
    run_settled(contest, [backup_of(data, "first")], [restore_of(data, "restore", data.parent)])
    assert [action for _, action in DONE] == ["backup"] * 2 + ["restore"] * 6


def test_all_see_the_same_data(data: Path) -> None:
    """What is prepared is prepared once for all."""
    prepared: list[int] = []
    run_fresh(Contest(data.parent, ("a", "b", "c"), 2, is_extra=False), [backup_of(data, "first", prepared.append)])
    assert prepared == [0, 1]


def test_who_is_missing_stays_in_the_file(data: Path) -> None:
    outcome = run_fresh(Contest(data.parent, ("a", "absent"), 1, is_extra=False), [backup_of(data, "first")])
    assert outcome["tools"] == ["a", "absent"]
    assert outcome["missing_peers"] == ["absent"]


def test_one_more_round_counts_and_is_no_sample(data: Path) -> None:
    outcome = run_fresh(Contest(data.parent, ("a", "b"), 1), [backup_of(data, "first")])
    assert [(sample["tool"], sample["agent_syncs"]) for sample in outcome["counted"]] == [("b", 0), ("a", 0)]
    assert [(sample["round"], sample["tool"]) for sample in outcome["samples"]] == [(0, "a"), (0, "b")]


def test_round_trips_are_counted_on_a_line_with_a_delay(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[Line | None] = []

    class Lined(Copier):
        name = "a"

        def __init__(self, directory: Path, line: Line | None = None, *, is_traced: bool = False) -> None:
            lines.append(line)
            super().__init__(directory, line, is_traced=is_traced)

    monkeypatch.setattr(rounds, "TOOLS", {"a": Lined})
    run_fresh(Contest(data.parent, ("a",), 1, is_traced=False), [backup_of(data, "first")])
    timed, counted = lines
    assert timed is None
    assert counted is not None
    assert (counted.round_trip_ms, counted.rate_mbit) == (20, 0)


def test_a_round_counts_without_strace_where_that_is_too_slow(data: Path) -> None:
    outcome = run_fresh(Contest(data.parent, ("a",), 1, is_traced=False), [backup_of(data, "first")])
    assert [sample.keys() & {"agent_syncs"} for sample in outcome["counted"]] == [set()]


def test_a_restore_that_is_not_the_source_is_no_sample(data: Path) -> None:
    phases = [backup_of(data, "first"), restore_of(data, "restore", data.parent)]
    with pytest.raises(RuntimeError, match="is not as"):
        run_fresh(Contest(data.parent, ("a", "loser"), 1, is_extra=False), phases)


def test_a_file_that_is_missing_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "one" / "below").mkdir(parents=True)
    (tmp_path / "two").mkdir()
    with pytest.raises(RuntimeError, match="below"):
        rounds.demand_same(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize(
    ("here", "absent"),
    [((), ["restic", "borg", "borg-serve"]), (("restic",), ["restic", "borg", "borg-serve"]), (("borg",), ["restic"])],
)
def test_a_tool_needs_all_of_its_programs(
    here: tuple[str, ...], absent: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if here:
        write_programs(tmp_path, *here)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert absent_peers() == absent


CASES = {
    "random": ["first"],
    "image": ["first", "restore", "1 % changed", "shifted"],
    "small_files": ["first", "unchanged", "restore", "1 % changed"],
    "share": ["first", "unchanged", "restore", "1 % changed"],
    "versions": ["version 1", "version 12", "restore of version 12"],
    "million": ["first", "unchanged", "one file, cold"],
    "together": ["3 agents"],
    "link": ["50 ms", "150 ms"],
}


@pytest.mark.parametrize("name", COMPARED)
def test_each_scenario_has_its_cases(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With crumbs, and tools that copy."""
    monkeypatch.setattr(rounds, "TOOLS", {tool: type(tool, (Copier,), {"name": tool}) for tool in TOOLS})
    monkeypatch.setattr(rounds, "absent_peers", lambda names: [])
    monkeypatch.setattr(rounds.syncs, "is_here", lambda: False)
    monkeypatch.setattr(rounds.line, "is_here", lambda: False)
    outcome = SCENARIOS[name](tmp_path, 5, 2, SCALES["crumbs"])
    assert list(dict.fromkeys(sample["case"] for sample in outcome["samples"])) == CASES[name]
    for case in CASES[name]:
        tools = [one["tool"] for one in outcome["samples"] if one["case"] == case and one["round"] == 0]
        assert sorted(tools) == sorted(outcome["tools"])


def test_nothing_happens_in_a_directory_above_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an unchanged tree has changed: with this product and peers that make temporary files, in a scenario below
    the system's temporary directory.
    """
    compiled_modules()
    programs, above = tmp_path / "programs", tmp_path / "temporary"
    directory = above / "scenario"
    programs.mkdir()
    directory.mkdir(parents=True)
    write_programs(programs)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(above))
    monkeypatch.setattr(tempfile, "tempdir", str(above))
    monkeypatch.setattr(rounds.syncs, "is_here", lambda: False)
    monkeypatch.setattr(rounds.line, "is_here", lambda: False)
    measured, seen = operations.measure_together, []

    def watched(*asked: Any) -> Any:
        seen.append([path.stat().st_mtime_ns for path in (above, directory)])
        return measured(*asked)

    monkeypatch.setattr(operations, "measure_together", watched)
    SCENARIOS["small_files"](directory, 5, 1, SCALES["crumbs"])
    assert seen == [seen[0]] * len(CASES["small_files"]) * 3


def test_each_target_is_of_a_case_that_is_measured() -> None:
    cases = {(name, case) for name, found in CASES.items() for case in found} | {("together", "32 agents")}
    assert {(scenario, case) for scenario, case, _ in TARGETS} <= cases


def test_nobody_reads_what_another_one_had_forgotten(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data and the tool's own place are read before each operation of every tool."""
    order: list[object] = []
    monkeypatch.setattr(rounds, "warm", lambda paths: order.append([path.name for path in paths]))
    monkeypatch.setattr(Copier, "backup", lambda tool, *_: order.append(tool.name) or {"wall_seconds": 0.0})
    run_fresh(Contest(data.parent, ("a", "b"), 1, is_extra=False), [backup_of(data, "first")])
    assert order == [[data.name, "stored"], "a", [data.name, "stored"], "b"]
