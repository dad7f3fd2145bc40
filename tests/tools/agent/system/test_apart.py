"""A call in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.agent.system.apart import call_apart
from tools.client.failure import Failure


def process_and_length(secret: bytes) -> tuple[int, int, bool]:
    return os.getpid(), len(secret), os.getsid(0) == os.getpid()


def fail() -> None:
    raise Failure("conflict", "it was made already", "create it anew", {"place": "here"})


def break_down() -> None:
    raise ZeroDivisionError("by zero")


def end_at_once() -> None:
    os._exit(7)


def test_it_runs_elsewhere_and_the_answer_comes_back() -> None:
    pid, length, is_alone = call_apart(process_and_length, bytes(1_000_000))
    assert pid != os.getpid()
    assert (length, is_alone) == (1_000_000, True)


def test_a_failure_comes_back_as_it_is() -> None:
    with pytest.raises(Failure, match="it was made already") as caught:
        call_apart(fail)
    assert (caught.value.code, caught.value.hint, caught.value.details) == (
        "conflict", "create it anew", {"place": "here"},
    )  # fmt: skip


def test_any_other_error_and_a_lost_child_are_a_failure() -> None:
    with pytest.raises(Failure, match="ZeroDivisionError: by zero"):
        call_apart(break_down)
    with pytest.raises(Failure, match="ended with exit code 7"):
        call_apart(end_at_once)


ROOT = Path(__file__).resolve().parents[4]


def test_nothing_is_imported_from_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pickle", "subprocess", "blake3", "msgspec"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()\nraise ImportError('somebody else')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path, str(tmp_path)])
    assert call_apart(process_and_length, b"abc")[1:] == (3, True)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("is_current", [True, False])
def test_it_works_from_a_clone_that_is_not_installed(tmp_path: Path, is_current: bool) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("tools", "protocol"):
        (clone / name).symlink_to(ROOT / name)
    program = "import os; from tools.agent.system.apart import call_apart; print(call_apart(os.getcwd))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=clone if is_current else tmp_path, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(clone)},
    )  # fmt: skip
    assert done.stdout.decode().strip() == str(clone if is_current else tmp_path), done.stderr
