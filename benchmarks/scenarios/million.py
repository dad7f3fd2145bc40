"""1,000,000 files: all in one directory, or in a tree, or in a tree whose first run is killed half-way.

Each takes some minutes and up to 12 GB. Removing so many files takes long too: `--directory` on a file system of its
own, in an image, can be unmounted instead.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.data.million_files import write_million
from benchmarks.environment import of_ours
from benchmarks.scenarios.sample import sample
from benchmarks.site import Backup, Site, program

FILES = int(os.environ.get("SAFESET_BENCH_FILES", "1000000"))


def run_directory(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    """Empty files in one directory, and one path of them asked for."""
    del seed, rounds
    data = directory / "data"
    data.mkdir(parents=True)
    for number in range(FILES):
        (data / f"entry-{number:07d}").touch()
    path = str(data / f"entry-{FILES // 2:07d}")
    with Site(directory / "site") as site:
        site.create_job("many", data)
        secret = ["--password-file", str(site.password_file)]
        return [
            sample("first run", 0, site.backup("many")),
            sample("unchanged run", 0, site.backup("many")),
            asked("ls of one path", site.agent("ls", "many", path, *secret)),
            asked(
                "restore of one path", site.agent("restore", "many", path, "--target", str(directory / "out"), *secret)
            ),
        ]


def run_tree(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    """Small files of random bytes, 100 in a directory."""
    del rounds
    data = directory / "data"
    write_million(data, FILES, seed)
    with Site(directory / "site") as site:
        site.create_job("tree", data)
        return [sample("first run", 0, site.backup("tree")), sample("unchanged run", 0, site.backup("tree"))]


def run_resume(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    """What a kill in the middle of a first run costs: that run and the next, beside one that nothing breaks."""
    del rounds
    data = directory / "data"
    write_million(data, FILES, seed)
    with Site(directory / "unbroken") as site:
        site.create_job("tree", data)
        whole = resumed("unbroken run", site.backup("tree"), site)
    shutil.rmtree(directory / "unbroken")
    with Site(directory / "broken") as site:
        site.create_job("tree", data)
        killed = kill_half_way(site, "tree")
        again = resumed("the run after it", site.backup("tree"), site)
    return [whole, killed, again]


def asked(case: str, done: Backup) -> dict[str, Any]:
    """A question that stores nothing."""
    return {
        "case": case,
        "round": 0,
        "wall_seconds": round(done.agent.wall_seconds, 3),
        "agent_cpu_seconds": round(done.agent.cpu_seconds, 2),
        "vault_cpu_seconds": round(done.vault_cpu_seconds, 2),
        "agent_peak_anonymous_bytes": done.agent.peak_anonymous_bytes,
        "vault_peak_anonymous_bytes": done.vault_peak_anonymous_bytes,
    }


def resumed(case: str, done: Backup, site: Site) -> dict[str, Any]:
    summary = done.summary
    return {
        "case": case,
        "wall_seconds": round(done.agent.wall_seconds, 3),
        "files": summary["files"],
        "bytes_read": summary["bytes_read"],
        "uploaded_bytes": summary["uploaded_bytes"],
        "stored_bytes": site.stored_bytes(),
    }


def kill_half_way(site: Site, job: str) -> dict[str, Any]:
    """SIGKILL when the run says that half of the files are scanned; it says so once a second."""
    start = time.perf_counter()
    command = [*program("vault-agent"), "--state", str(site.state), "backup", job, "--json"]
    agent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=of_ours())
    assert agent.stdout is not None
    for line in agent.stdout:
        told = json.loads(line)
        if told["type"] == "status" and told["files"] >= FILES // 2:
            break
    else:
        sys.exit("the run ended before it was killed: take more files")
    agent.kill()
    agent.wait()
    return {
        "case": "run that was killed",
        "wall_seconds": round(time.perf_counter() - start, 3),
        "files": told["files"],
        "bytes_read": told["bytes"],
        "stored_bytes": site.stored_bytes(),
    }
