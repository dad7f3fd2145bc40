"""A restore that is killed at some point, and run again: nothing half is left, and the rest comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ROOT, Site, differences, environment, restored

FILES = 3_000
SOON_SECONDS = 60


def write_tree(root: Path) -> Path:
    """Closed and open directories, files with two names in different ones, a large file."""
    for number in range(FILES):
        directory = root / f"{number % 30:02}"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{number:04}"
        path.write_bytes(b"%d " % number * 300)
        if number % 50 == 0:
            other = root / "names"
            other.mkdir(exist_ok=True)
            os.link(path, other / f"{number:04}")
    (root / "large").write_bytes(os.urandom(24 << 20))
    for number, path in enumerate(sorted(root.iterdir())):
        if path.is_dir():
            path.chmod((0o755, 0o700, 0o1777)[number % 3])
            os.utime(path, ns=(1, 1_500_000_000_000_000_000 + number))
    return root


def kill_when(agent: subprocess.Popen[bytes], target: Path, entries: int) -> None:
    deadline = time.monotonic() + SOON_SECONDS
    while agent.poll() is None and time.monotonic() < deadline:
        if sum(len(names) for _, _, names in os.walk(target)) >= entries:
            break
    agent.send_signal(signal.SIGKILL)
    agent.wait()


@pytest.mark.parametrize("entries", [1, 800, 2_500])
def test_the_next_one_finishes_it(site: Site, tmp_path: Path, entries: int) -> None:
    source = write_tree(tmp_path / "source")
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "job", source)
    site.backup("pc", "job")
    target = tmp_path / "target"
    words = ["--state", site.state("pc"), "restore", "job", "--target", target, "--password-file", site.password("job")]
    agent = subprocess.Popen(
        [sys.executable, "-m", "tools.agent", *map(str, words)],
        cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    kill_when(agent, target, entries)
    assert [path for path in target.rglob(".safeset-*") if path.is_file()] == []
    assert site.restore("pc", "job", target)["warnings"] == 0
    assert differences(source, restored(target, source)) == []
