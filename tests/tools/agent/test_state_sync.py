"""A file of the state survives a power cut with its old or its new content: what the kernel is asked, in its order."""

import os
import stat
from pathlib import Path

import pytest

from tools.agent.state import KnownHead, create_state, lock_state
from tools.client.failure import Failure

Calls = list[tuple[str, str]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """(call, what it is about): each sync of a file or directory, each rename."""
    calls = Calls()
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        what = "directory" if stat.S_ISDIR(status.st_mode) else f"file of {status.st_size} bytes"
        calls.append(("sync", what))
        real_fsync(descriptor)

    def replace(old: str, new: Path) -> None:
        calls.append(("rename", new.name))
        real_replace(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    return calls


def saved(tmp_path: Path, calls: Calls) -> tuple[Calls, int]:
    job = create_state(tmp_path / "state").job(b"j" * 16)
    job.save_head(KnownHead(timeline=1, sequence=7, root_hash="ab" * 32))
    calls.clear()
    job.save_head(KnownHead(timeline=1, sequence=8, root_hash="cd" * 32))
    return calls, (job.directory / "head.json").stat().st_size


def test_a_file_is_synced_before_it_takes_its_name(tmp_path: Path, calls: Calls) -> None:
    made, size = saved(tmp_path, calls)
    assert made[:2] == [("sync", f"file of {size} bytes"), ("rename", "head.json")]


def test_the_directory_is_synced_after_a_file_took_its_name(tmp_path: Path, calls: Calls) -> None:
    made, _ = saved(tmp_path, calls)
    assert made[-2:] == [("rename", "head.json"), ("sync", "directory")]


def test_what_a_killed_process_left_is_removed_under_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = create_state(tmp_path / "state")
    state.save_job_id("job", b"j" * 16)
    job = state.job(b"j" * 16)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die)
        patch.setattr(os, "unlink", lambda path: None)
        for save in (lambda: state.save_keys(b"pem", b"sealing"), lambda: job.save_unattended(b"keys")):
            with pytest.raises(KeyboardInterrupt):
                save()
        with pytest.raises(KeyboardInterrupt):
            state.save_job_id("other", b"o" * 16)
    left = {path.parent for path in state.path.rglob(".new-*")}
    assert left == {state.path, state.path / "jobs", job.directory}
    with lock_state(state):
        assert list(state.path.rglob(".new-*")) == []
    assert state.known_job_id("job") == b"j" * 16


def test_what_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    state = create_state(tmp_path / "state")
    with lock_state(state):
        (state.path / ".new-1").touch()
        with pytest.raises(Failure), lock_state(state):
            pass
        assert (state.path / ".new-1").exists()
