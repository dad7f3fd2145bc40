"""The state directory: closed to others, replaced as a whole, written by one process at a time."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.agent.state import KnownHead, PendingRoot, create_state, lock_state, open_state
from tools.client.failure import Failure


def test_everything_is_closed_to_others(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        state = create_state(tmp_path / "state")
        state.save_keys(b"pem", b"sealing")
        job = state.job(b"j" * 16)
        job.save_unattended(b"keys")
        with lock_state(state):
            pass
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in [state.path, *state.path.rglob("*")]} == {"0o700", "0o600"}
    assert [path.name for path in state.path.rglob(".new-*")] == []


def test_a_directory_that_is_open_to_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    with pytest.raises(Failure) as caught:
        open_state(tmp_path / "state")
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("use", [open_state, create_state])
def test_a_file_is_no_state_directory(tmp_path: Path, use: Callable[[Path], object]) -> None:
    (tmp_path / "file").touch(0o600)
    with pytest.raises(Failure, match="is not a directory") as caught:
        use(tmp_path / "file")
    assert "chmod" not in caught.value.hint


def test_only_one_holds_the_lock(tmp_path: Path) -> None:
    state = create_state(tmp_path / "state")
    with lock_state(state), pytest.raises(Failure) as caught, lock_state(state):
        pass
    assert caught.value.exit_code == 6
    with lock_state(state):
        pass


def test_values_come_back(tmp_path: Path) -> None:
    job = create_state(tmp_path / "state").job(b"j" * 16)
    assert (job.load_head(), job.load_unattended(), job.has_made_keyring) == (None, None, False)
    head = KnownHead(timeline=1, sequence=7, root_hash="ab" * 32)
    job.save_head(head)
    job.mark_used(b"m" * 16)
    assert (job.load_head(), job.has_made_keyring) == (head, True)
    pending = PendingRoot(timeline=1, sequence=8, root_hash="cd" * 32)
    job.save_pending(pending)
    assert job.load_pending() == pending
    job.forget_pending()
    job.forget_pending()
    assert job.load_pending() is None


def test_names_stand_for_jobs(tmp_path: Path) -> None:
    state = create_state(tmp_path / "state")
    assert state.known_job_id("job") is None
    state.save_job_id("job", b"j" * 16)
    state.save_job_id("other", b"o" * 16)
    assert [state.known_job_id(name) for name in ("job", "other", "third")] == [b"j" * 16, b"o" * 16, None]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    job = create_state(tmp_path / "state").job(b"j" * 16)
    job.save_head(KnownHead(timeline=1, sequence=7, root_hash="ab" * 32))
    (job.directory / "head.json").write_bytes(b"{}")
    with pytest.raises(Failure, match=r"head\.json is damaged"):
        job.load_head()
