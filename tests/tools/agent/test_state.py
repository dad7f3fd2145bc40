"""The state directory: closed to others, replaced as a whole, written by one process at a time."""

import os
from pathlib import Path

import pytest

from tools.agent.head import check_head
from tools.agent.state import KnownHead, create_state, lock_state, open_state
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


def test_only_one_holds_the_lock(tmp_path: Path) -> None:
    state = create_state(tmp_path / "state")
    with lock_state(state), pytest.raises(Failure) as caught, lock_state(state):
        pass
    assert caught.value.exit_code == 6
    with lock_state(state):
        pass


def test_values_come_back(tmp_path: Path) -> None:
    job = create_state(tmp_path / "state").job(b"j" * 16)
    assert (job.load_head(), job.load_unattended(), job.is_used(b"m" * 16)) == (None, None, False)
    head = KnownHead(timeline=1, sequence=7, root_hash="ab" * 32)
    job.save_head(head)
    job.mark_used(b"m" * 16)
    job.mark_used(b"n" * 16)
    assert (job.load_head(), job.is_used(b"m" * 16), job.is_used(b"n" * 16), job.is_used(b"o" * 16)) == (
        head, True, True, False,
    )  # fmt: skip


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    job = create_state(tmp_path / "state").job(b"j" * 16)
    job.save_head(KnownHead(timeline=1, sequence=7, root_hash="ab" * 32))
    (job.directory / "head.json").write_bytes(b"{}")
    with pytest.raises(Failure, match=r"head\.json is damaged"):
        job.load_head()


class Told:
    def __init__(self, timeline: int, head_sequence: int, head_hash: bytes) -> None:
        self.timeline = timeline
        self.head_sequence = head_sequence
        self.head_hash = head_hash


@pytest.mark.parametrize(
    "told", [Told(1, 6, b"\xab" * 32), Told(1, 7, b"\xac" * 32), Told(1, 0, bytes(32)), Told(2, 8, b"\xab" * 32)]
)
def test_a_head_that_went_back_is_damage(told: Told) -> None:
    with pytest.raises(Failure) as caught:
        check_head(KnownHead(timeline=1, sequence=7, root_hash="ab" * 32), told)
    assert caught.value.exit_code == 9


def test_the_same_or_a_newer_head_is_fine() -> None:
    known = KnownHead(timeline=1, sequence=7, root_hash="ab" * 32)
    check_head(known, Told(1, 7, b"\xab" * 32))
    check_head(known, Told(1, 8, b"\xac" * 32))
    check_head(None, Told(1, 0, bytes(32)))
