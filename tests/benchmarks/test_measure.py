"""What processes spend, with all that they start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.environment import of_ours, of_peers
from benchmarks.measure import Command, measure_together
from benchmarks.processes import cpu_seconds, tree

BUSY = "import os, sys; kept = b'x' * (32 << 20); sum(number * number for number in range(9_000_000))"
# A shell that starts what is busy, and says its own id first.
BELOW = f'echo $$ >pid; {sys.executable} -c "{BUSY}"; true'


def test_time_and_memory_are_of_all_that_was_started(tmp_path: Path) -> None:
    (done,) = measure_together([Command(["sh", "-c", BELOW], None, tmp_path)])
    assert done.exit_code == 0
    assert done.cpu_seconds > 0.2
    assert done.peak_anonymous_bytes > 32 << 20


def test_memory_of_the_other_side_is_left_out(tmp_path: Path) -> None:
    def other() -> list[int]:
        pid = tmp_path / "pid"
        return [int(pid.read_text())] if pid.exists() and pid.read_text().strip() else []

    (tmp_path / "other").write_text(BELOW, encoding="utf-8")
    (done,) = measure_together([Command(["sh", "-c", "sh other; true"], None, tmp_path)], other)
    assert done.exit_code == 0
    assert done.peak_anonymous_bytes < 16 << 20


def test_programs_at_once_are_one_sum(tmp_path: Path) -> None:
    done = measure_together([Command([sys.executable, "-c", BUSY], None, tmp_path) for _ in range(2)])
    assert [one.exit_code for one in done] == [0, 0]
    assert done[0].peak_anonymous_bytes > 64 << 20
    assert done[0].cpu_seconds == done[1].cpu_seconds > 0.4


def test_a_tree_has_its_children_and_not_those_left_out() -> None:
    words = ["sh", "-c", "sleep 100 & echo $!; read line; kill $!"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout is not None
        child = int(shell.stdout.readline())
        assert sorted(tree([shell.pid])) == sorted([shell.pid, child])
        assert tree([shell.pid], without=[child]) == [shell.pid]
        shell.communicate("\n")


def test_a_process_that_is_gone_has_spent_nothing() -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    assert cpu_seconds(gone.pid) == 0


def test_what_is_set_for_our_interpreter_is_no_matter_of_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours keep their compiled modules, as after an installation."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    assert not any(name.startswith("PYTHON") for name in of_peers())
    assert "PYTHONDONTWRITEBYTECODE" not in of_ours()
    assert Path(of_ours()["PYTHONPYCACHEPREFIX"]).is_dir()
    assert of_ours()["PATH"] == os.environ["PATH"]
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "/somewhere")
    assert of_ours()["PYTHONPYCACHEPREFIX"] == "/somewhere"
