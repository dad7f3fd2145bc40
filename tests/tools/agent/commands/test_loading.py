"""What a command loads before it does anything: each start pays for it."""

import subprocess
import sys

import pytest

# No run of a script needs these, and loading them costs milliseconds each time.
_LARGE = ("rich", "cryptography.x509")


@pytest.mark.parametrize("command", ["backup", "restore", "serve"])
def test_a_command_loads_nothing_large_that_it_does_not_need(command: str) -> None:
    program = f"import sys, tools.agent.commands.{command}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in _LARGE if name in loaded] == []
    assert f"tools.agent.commands.{command}" in loaded
