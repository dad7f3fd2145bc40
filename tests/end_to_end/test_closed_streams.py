"""Programs that are started without standard input, output or error, as `<&-` and some schedulers do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import MODULES, ROOT, Site, environment

# What the program has at each of its first descriptors, as its very last word in a file.
LOOK = """
import atexit, os, runpy, sys
path, module = sys.argv[1:3]
def look():
    with open(path, "w") as file:
        file.write(" ".join(os.readlink(f"/proc/self/fd/{number}") for number in range(3)))
atexit.register(look)
del sys.argv[1:3]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def closed(numbers: str, *words: object) -> subprocess.CompletedProcess[bytes]:
    redirections = " ".join(f"{number}>&-" for number in numbers)
    shell = ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, *map(str, words)]
    return subprocess.run(shell, cwd=ROOT, env=environment(), capture_output=True, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("numbers", ["0", "1", "2", "012"])
@pytest.mark.parametrize("program", MODULES)
def test_no_file_takes_their_place(tmp_path: Path, program: str, numbers: str) -> None:
    seen = tmp_path / "seen"
    done = closed(numbers, "-c", LOOK, seen, MODULES[program], "--version")
    assert done.returncode == 0, done.stderr
    names = seen.read_text().split()
    assert [names[int(number)] for number in numbers] == [os.devnull] * len(numbers)


def test_a_removal_without_standard_input_asks_nobody(site: Site) -> None:
    site.create_account("acme")
    site.register("acme", "pc")
    done = closed("0", "-m", "tools.vaultctl", "--context", site.context("acme"), "computer", "remove", "pc")
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
