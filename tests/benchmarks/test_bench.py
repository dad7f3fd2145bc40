"""The commands of `make bench` and `make bench-full`: who must be there, what is not measured again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import bench, results
from benchmarks.environment import ROOT
from benchmarks.results import head_commit, is_dirty
from benchmarks.tables import render
from tests.benchmarks.fake_programs import write_programs
from tests.benchmarks.raw_files import sample


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of scenarios that ran; each leaves one sample. Results go to a directory of their own."""
    names: list[str] = []

    def scenario(name: str) -> bench.Run:
        def run(directory: Path, seed: int, rounds: int, scale: bench.Scale) -> dict[str, Any]:
            names.append(name)
            return {"samples": [sample("safeset", 0, 1.0)], "counted": [], "tools": ["safeset"], "missing_peers": []}

        return run

    monkeypatch.setattr(bench, "SCENARIOS", {name: scenario(name) for name in ("random", "image", "million", "offers")})
    monkeypatch.setattr(bench, "warm_up", lambda directory: None)
    monkeypatch.setattr(bench, "demand_peers", lambda: None)
    monkeypatch.setattr(bench, "write_tables", lambda: None)
    for module in (bench, results):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
        monkeypatch.setattr(module, "is_dirty", lambda: False)
    return names


@pytest.mark.parametrize(("here", "missing"), [((), "restic, rclone, borg"), (("restic", "rclone"), "borg")])
def test_a_missing_peer_ends_with_1(here: tuple[str, ...], missing: str, tmp_path: Path) -> None:
    if here:
        write_programs(tmp_path, *here)
    environment = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"missing on PATH: {missing}; install it, or set ALLOW_MISSING_PEERS=1 to compare without it\n"
    )


def test_what_has_a_result_of_this_commit_is_not_measured_again(ran: list[str]) -> None:
    assert bench.main(["--scale", "full", "image"]) == 0
    assert bench.main(["--scale", "full"]) == 0
    assert ran == ["image", "random", "million", "offers"]
    assert bench.main(["--scale", "full", "--again", "image"]) == 0
    assert ran == ["image", "random", "million", "offers", "image"]


@pytest.mark.parametrize("other", [{"commit": "0" * 40}, {"scale": "bench"}, {"dirty": True}])
def test_a_result_of_something_else_is_measured_anew(ran: list[str], tmp_path: Path, other: dict[str, Any]) -> None:
    assert bench.main(["--scale", "full", "image"]) == 0
    path = tmp_path / "results" / "image.json"
    result = json.loads(path.read_text(encoding="utf-8"))
    assert (result["commit"], result["scale"]) == (head_commit(), "full")
    path.write_text(json.dumps(result | other), encoding="utf-8")
    assert bench.main(["--scale", "full", "image"]) == 0
    assert ran == ["image", "image"]


def test_what_no_commit_has_is_measured_each_time_and_told(
    ran: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.main(["--scale", "full", "image"]) == 0
    for module in (bench, results):
        monkeypatch.setattr(module, "is_dirty", lambda: True)
    assert bench.main(["--scale", "full", "image"]) == 0
    assert ran == ["image", "image"]
    result = json.loads((tmp_path / "results" / "image.json").read_text(encoding="utf-8"))
    assert result["dirty"] is True
    assert f"commit {head_commit()[:12]} with changes, " in render(result)


@pytest.mark.parametrize(
    ("changed", "is_told"), [("code.py", True), ("new.py", True), ("docs/results/image.json", False)]
)
def test_a_change_is_none_of_the_commit(
    changed: str, is_told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@b", *words], cwd=tmp_path, check=True)

    (tmp_path / "docs" / "results").mkdir(parents=True)
    for name in ("code.py", "docs/results/image.json"):
        (tmp_path / name).write_text("old", encoding="utf-8")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "all")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    assert not is_dirty()
    (tmp_path / changed).write_text("new", encoding="utf-8")
    assert is_dirty() == is_told


def test_the_long_rows_are_of_the_full_scale(ran: list[str]) -> None:
    assert bench.main([]) == 0
    assert ran == ["random", "image"]


def test_a_scenario_that_fails_does_not_stop_the_others(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> dict[str, Any]:
        raise RuntimeError("the peer broke")

    monkeypatch.setitem(bench.SCENARIOS, "random", fail)
    assert bench.main([]) == 1
    assert ran == ["image"]
    assert "failed: random" in capsys.readouterr().err


def test_a_shared_machine_is_named_in_the_file(ran: list[str], tmp_path: Path) -> None:
    bench.main(["--shared", "random"])
    result = json.loads((tmp_path / "results" / "random.json").read_text(encoding="utf-8"))
    assert result["machine"]["is_shared"] is True
    assert ran == ["random"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["imagee"], "no scenario imagee; there are random, image,"),
        (["--directory", "/no/such/place"], "--directory: /no/such/place is no directory"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(words)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
