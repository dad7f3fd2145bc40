"""The service and its children step back; asked of the system, in a process of its own."""

import subprocess
import sys

ASK = """
import os, subprocess, sys
from tools.agent.system.priority import lower_priority
if sys.argv[1] == "lowered":
    lower_priority()
child = subprocess.run(["sh", "-c", "nice; ionice -p $$"], capture_output=True, text=True)
print(child.stdout, end="")
"""


def asked(how: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", ASK, how], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_children_of_a_service_have_its_low_priority() -> None:
    nice, disk = asked("lowered")
    assert (max(10, int(asked("as it was")[0])), disk) == (int(nice), "best-effort: prio 7")
