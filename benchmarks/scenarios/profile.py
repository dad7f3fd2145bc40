"""Where the CPU time of a backup and a restore goes, at both ends, as `perf` samples it: seconds by the kind of work.

Sampling slows the programs a little, so that these figures explain those of the comparison and are none of them.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.data.random_file import write_random_file
from benchmarks.data.small_files import write_small_files
from benchmarks.measure import measure
from benchmarks.processes import cpu_seconds
from benchmarks.site import Site, program

RANDOM_BYTES, SMALL_FILES = 1 << 30, 30_000
# The first that is found in the object or the symbol says what kind of work it is.
PARTS = (
    ("[k]", "kernel"),
    ("aesni_cbc", "AES-CBC"),
    ("aes_gcm", "AES-GCM and TLS"),
    ("gcm", "AES-GCM and TLS"),
    ("libssl", "AES-GCM and TLS"),
    ("libcrypto", "AES-GCM and TLS"),
    ("blake3", "BLAKE3"),
    ("fastcdc", "cutting"),
    ("backend_c", "zstd"),
    ("zstd", "zstd"),
    ("__mem", "copying"),
    ("lmdb", "LMDB"),
    ("sqlite", "SQLite"),
    ("libpython", "Python"),
)


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    """Once: a profile has thousands of samples of its own."""
    del rounds
    if shutil.which("perf") is None:
        sys.exit("a profile needs `perf` (Debian: linux-perf)")
    random, small = directory / "random", directory / "small"
    random.mkdir(parents=True)
    write_random_file(random / "file", RANDOM_BYTES, seed)
    write_small_files(small, SMALL_FILES, seed)
    with Site(directory / "site") as site:
        site.create_job("random", random)
        site.create_job("small", small)
        to = ["--password-file", str(site.password_file), "--target"]
        files = f"{SMALL_FILES:,} small files"
        return [
            *profiled(site, "1 GiB of random bytes, first", "backup", "random"),
            *profiled(site, "1 GiB of random bytes, restore", "restore", "random", *to, str(directory / "out-1")),
            *profiled(site, f"{files}, first", "backup", "small"),
            *profiled(site, f"{files}, unchanged", "backup", "small"),
            *profiled(site, f"{files}, restore", "restore", "small", *to, str(directory / "out-2")),
        ]


def profiled(site: Site, case: str, command: str, *words: str) -> Iterator[dict[str, Any]]:
    files = {side: site.directory / f"{side}.perf" for side in ("agent", "vault")}
    recorder = [*record(files["vault"]), "-p", str(site.vault.pid)]
    before = cpu_seconds(site.vault.pid)
    with subprocess.Popen(recorder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as watching:
        agent = [*program("vault-agent"), "--state", str(site.state), command, *words, "--json"]
        done = measure([*record(files["agent"]), "--", *agent], site.environment)
        watching.send_signal(signal.SIGINT)
    if done.exit_code not in (0, 3):
        raise RuntimeError(f"{command} ended with {done.exit_code}: {done.stdout[-300:]} {done.stderr[-300:]}")
    seconds = {"agent": done.cpu_seconds, "vault": cpu_seconds(site.vault.pid) - before}
    for side, file in files.items():
        for part, share in shares(file).items():
            sample = {"case": case, "side": side, "part": part, "wall_seconds": round(done.wall_seconds, 2)}
            yield {**sample, "cpu_seconds": round(share * seconds[side], 3), "round": 0}


def record(file: Path) -> list[str]:
    return ["perf", "record", "-q", "-F", "499", "-o", str(file)]


def shares(file: Path) -> dict[str, float]:
    """Part of the samples by kind of work."""
    words = ["perf", "report", "-i", str(file), "--stdio", "--sort", "dso,symbol", "-t", ";"]
    text = subprocess.run(words, capture_output=True, check=True, text=True).stdout
    found: Counter[str] = Counter()
    for line in text.splitlines():
        share, separator, rest = line.partition(";")
        if separator and not line.startswith("#"):
            found[part_of(rest)] += float(share.strip().rstrip("%")) / 100
    return dict(found)


def part_of(place: str) -> str:
    """`place`: object;symbol, as perf writes them."""
    return next((part for key, part in PARTS if key in place), "other")
