"""One restore at a time writes into a directory."""

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from tools.agent.restore import target_lock
from tools.agent.restore.target_lock import held_target
from tools.client.failure import Failure

HOLDER = """
import subprocess, sys, trio
from pathlib import Path
from tools.agent.restore.target_lock import held_target

async def main():
    async with held_target(Path(sys.argv[1]), Path(sys.argv[2])):
        subprocess.Popen(["cat"], stdout=subprocess.DEVNULL, close_fds=False)
        print("held", flush=True)
        sys.stdin.read()
        print("let go", flush=True)

trio.run(main)
"""


@contextmanager
def holder(state: Path, target: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the target until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state), str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


async def test_a_second_one_is_refused_until_the_first_has_ended(state: Path, target: Path) -> None:
    with holder(state, target) as first:
        with pytest.raises(Failure, match="another restore works in ") as caught:
            async with held_target(state, target):
                pytest.fail("held twice")
        assert (caught.value.code, caught.value.exit_code) == ("conflict", 6)
        assert first.stdin is not None
        first.stdin.close()
        first.wait()
        async with held_target(state, target):
            pass
    assert os.listdir(target) == []


async def test_by_another_name_it_is_the_same_directory(state: Path, target: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(target)
    with holder(state, tmp_path / "link"), pytest.raises(Failure, match="another restore works in "):
        async with held_target(state, target):
            pass


async def test_other_directories_are_not_locked(state: Path, target: Path) -> None:
    (target / "below").mkdir()
    with holder(state, target):
        async with held_target(state, target / "below"):
            pass


async def test_who_waits_gets_its_turn(state: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    looks = 0
    with holder(state, target) as first:

        async def sleep(_: float) -> None:
            nonlocal looks
            looks += 1
            if looks == 3:
                assert first.stdin is not None
                first.stdin.close()
                first.wait()

        monkeypatch.setattr(trio, "sleep", sleep)
        async with held_target(state, target, told.append):
            assert first.returncode == 0
    assert told == [f"another restore works in {target}: its end is waited for"]


async def test_whoever_can_only_read_the_target_locks_nobody_out(state: Path, target: Path) -> None:
    descriptor = os.open(target, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    async with held_target(state, target):
        assert (state / "restores.lock").stat().st_mode & 0o077 == 0
    os.close(descriptor)


async def test_it_ends_with_the_process_whatever_that_has_started(state: Path, target: Path) -> None:
    with holder(state, target) as process:
        with pytest.raises(Failure, match="another restore"):
            async with held_target(state, target):
                pass
        process.kill()
        process.wait()
        async with held_target(state, target):
            pass


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOLCK])
async def test_a_state_on_a_file_system_without_locks_restores(
    state: Path, target: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "told to fail")

    monkeypatch.setattr(target_lock.fcntl, "lockf", refuse)
    async with held_target(state, target):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
async def test_a_state_that_is_full_or_cannot_be_written_restores(
    state: Path, target: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "told to fail")

    with monkeypatch.context() as patch:
        patch.setattr(target_lock.os, "open", refuse)
        async with held_target(state, target):
            pass
