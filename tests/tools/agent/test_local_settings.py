"""`agent.toml` in the state: a memory limit, and nothing else."""

from pathlib import Path

import pytest

from tools.agent.local_settings import MIB, load_local_settings
from tools.client.failure import Failure


def settings(state: Path, text: str) -> int | None:
    (state / "agent.toml").write_text(text)
    return load_local_settings(state).memory_limit_bytes


def test_without_the_file_there_is_no_limit(tmp_path: Path) -> None:
    found = load_local_settings(tmp_path)
    assert (found.memory_limit_bytes, found.contents_bytes) == (None, 48 * MIB)
    assert settings(tmp_path, "# nothing\n") is None


@pytest.mark.parametrize(
    ("text", "limit_bytes", "contents_bytes"),
    [("160MiB", 160 * MIB, 8 * MIB), ("192 MiB", 192 * MIB, 24 * MIB), ("1GiB", 1024 * MIB, 48 * MIB)],
)
def test_a_limit_bounds_what_is_under_way(tmp_path: Path, text: str, limit_bytes: int, contents_bytes: int) -> None:
    assert settings(tmp_path, f'memory_limit = "{text}"\n') == limit_bytes
    assert load_local_settings(tmp_path).contents_bytes == contents_bytes


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('memory_limit = "159MiB"', "the least is 160MiB"),
        ('memory_limit = "256 MB"', "which is no size"),
        ("memory_limit = 256", "which is no size"),
        ('memory_limit = "0MiB"', "which is no size"),
        ('schedule = "0 2 * * *"', "has the setting 'schedule'; `memory_limit` is the only one"),
        ('memory_limit = "1GiB"\nnice = 3', "has the setting 'nice'"),
        ("memory_limit", "is no TOML"),
    ],
)
def test_all_else_is_refused(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(Failure, match=what) as caught:
        settings(tmp_path, text)
    assert caught.value.exit_code == 2
