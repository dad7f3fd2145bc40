"""A program that is forked does what the same words do with `python -m`."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import ROOT, Done, Site, differences, environment, restored, run_program, run_python
from tests.support.forked_programs import run_forked
from tests.support.trees import write_tree

SOON_SECONDS = 60.0
DIFFERING = {"seconds", "new_chunks", "sent_bytes", "uploaded_bytes"}


def started(module: str, *words: str, stdin: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=ROOT, env=environment(), input=stdin, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def forked(module: str, *words: str, stdin: str = "") -> tuple[int, str, str]:
    done = run_forked(module, words, environment(), stdin, SOON_SECONDS)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("tools.agent", ("--help",)),
        ("tools.agent", ("--state", "/nonexistent", "status", "--json")),
        ("tools.vaultctl", ("--context", "/nonexistent/grün", "status")),
        ("vaultd", ("check", "/nonexistent", "--json")),
        ("vaultd", ("--no-such-word",)),
    ],
)
def test_it_ends_and_speaks_as_one_that_is_started(module: str, words: tuple[str, ...]) -> None:
    assert forked(module, *words) == started(module, *words)


def test_a_backup_a_look_and_a_restore_are_as_those_that_are_started(site: Site, tmp_path: Path) -> None:
    """Of the same files, each in a job of its own."""
    site.create_account("acme")
    site.register("acme", "pc")
    tree = write_tree(tmp_path / "tree", small_files=20)

    def answers(job: str, run: Callable[..., Done]) -> list[tuple[int, str, object]]:
        site.create_job("acme", "pc", job, tree)
        target, password = tmp_path / f"{job}-back", ("--password-file", site.password(job))
        agent = "--state", site.state("pc")
        done = [
            run(*agent, "backup", job),
            run(*agent, "ls", job, *password),
            run(*agent, "restore", job, "--target", target, *password),
            run(*agent, "restore", "none", "--target", target, *password),
        ]
        assert differences(tree, restored(target, tree)) == []
        return [(one.exit_code, one.error.replace(job, "JOB"), same(one.last, job)) for one in done]

    with_fork = answers("forked", partial(run_program, "vault-agent"))
    assert with_fork == answers("started", partial(run_python, "-m", "tools.agent"))
    assert [exit_code for exit_code, _, _ in with_fork[:3]] == [0, 0, 0]
    assert with_fork[3][0] != 0


def same(answer: Any, job: str) -> object:
    """Without how long it took and where contents were cut, which each keyring does in its own way."""
    if isinstance(answer, dict):
        return {name: same(value, job) for name, value in answer.items() if name not in DIFFERING}
    if isinstance(answer, list):
        return [same(value, job) for value in answer]
    return answer.replace(job, "JOB") if isinstance(answer, str) else answer


def test_it_reads_what_it_is_given() -> None:
    assert forked("json.tool", "--compact", stdin='{ "a": 1 }') == (0, '{"a":1}\n', "")


def test_it_has_its_own_environment_and_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    narrow = forked("vaultd", "--help")
    assert narrow == started("vaultd", "--help")
    monkeypatch.setenv("COLUMNS", "120")
    assert forked("vaultd", "--help") != narrow
    monkeypatch.chdir(tmp_path)
    assert forked("vaultd", "check", "README.md") == started("vaultd", "check", "README.md")


def test_its_errors_are_told_with_their_place() -> None:
    exit_code, _, error = forked("json.tool", "--no-such-word", "x")
    assert (exit_code, "usage" in error) == (2, True)
    exit_code, _, error = forked("tests.no_such_module")
    assert (exit_code, "No module named tests.no_such_module" in error) == (1, True)


def test_one_that_does_not_end_is_killed() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run_forked("tests.end_to_end.silent_vault", [], environment(), "", 2.0)


def test_many_run_at_the_same_time_and_each_has_its_own_answer() -> None:
    answers: dict[int, tuple[int, str, str]] = {}

    def ask(number: int) -> None:
        answers[number] = forked("json.tool", "--compact", stdin=str(number))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: (0, f"{number}\n", "") for number in range(20)}
