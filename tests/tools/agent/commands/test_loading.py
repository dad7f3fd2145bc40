"""What a command loads before it does anything: each start pays for it."""

import subprocess
import sys

import pytest

# No run of a script needs these, and loading them costs milliseconds each time.
_LARGE = ("rich", "cryptography.x509")
# What makes a safeset is loaded while the connection is being made, and these come with it.
_OF_THE_ROOMS = (
    "tools.agent.run.backup", "tools.agent.scan", "tools.agent.cache", "tools.agent.keys", "tools.client.keyring",
    "cryptography", "sqlite3", "zstandard", "msgpack", "pyfastcdc",
)  # fmt: skip


def loaded_with(module: str) -> list[str]:
    program = f"import sys, {module}; print(*sys.modules)"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("command", ["backup", "restore", "serve"])
def test_a_command_loads_nothing_large_that_it_does_not_need(command: str) -> None:
    loaded = loaded_with(f"tools.agent.commands.{command}")
    assert [name for name in _LARGE if name in loaded] == []
    assert f"tools.agent.commands.{command}" in loaded


def test_a_backup_begins_without_the_rooms_that_make_a_safeset() -> None:
    loaded = loaded_with("tools.agent.commands.backup")
    assert [name for name in _OF_THE_ROOMS if name in loaded] == []
    assert "protocol.transport" in loaded


def test_a_process_of_the_service_begins_without_any_of_its_kinds_of_work() -> None:
    loaded = loaded_with("tools.agent.service.child")
    works = ("tools.agent.commands.backup", "tools.agent.commands.restore", "tools.agent.service.asked_restore")
    assert [name for name in (*works, "trio", *_OF_THE_ROOMS) if name in loaded] == []
    assert "tools.agent.state" in loaded


def test_what_a_broken_off_attempt_left_does_not_stay() -> None:
    """A second attempt finds the rooms loaded. The collector must not take what is there then as there for good."""
    program = """
import gc, sys
from tools.agent.commands import backup
backup._load_room()
kept = gc.get_freeze_count()
left = [object() for _ in range(1000)]
left.append(left)
backup._load_room()
print(kept > 0, gc.get_freeze_count() == kept)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
