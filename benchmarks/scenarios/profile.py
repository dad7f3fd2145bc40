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

from benchmarks.data.changed_tree import change_tree
from benchmarks.data.disk_image import change_image, shift_image, write_image
from benchmarks.data.million_files import million_path, write_million
from benchmarks.data.random_file import write_random_file
from benchmarks.data.share import copy_share
from benchmarks.data.small_files import write_small_files
from benchmarks.measure import measure
from benchmarks.processes import cpu_seconds
from benchmarks.site import Site, program

LARGE_BYTES, SMALL_FILES, TINY_FILES, SHARE_FILES_MAX = 1 << 30, 30_000, 100_000, 1_000_000
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
    with Site(directory / "site") as site:
        return [
            *_random_bytes(site, directory, seed),
            *_image(site, directory, seed),
            *_small_files(site, directory, seed),
            *_share(site, directory, seed),
            *_tiny_files(site, directory, seed),
        ]


def _random_bytes(site: Site, directory: Path, seed: int) -> Iterator[dict[str, Any]]:
    data = _new_job(site, directory, "random")
    write_random_file(data / "file", LARGE_BYTES, seed)
    yield from profiled(site, "1 GiB of random bytes, first", "backup", "random")
    yield from _restored(site, "1 GiB of random bytes, restore", "random")


def _image(site: Site, directory: Path, seed: int) -> Iterator[dict[str, Any]]:
    image = _new_job(site, directory, "image") / "image"
    write_image(image, LARGE_BYTES, seed)
    yield from profiled(site, "disk image of 1 GiB, first", "backup", "image")
    yield from _restored(site, "disk image of 1 GiB, restore", "image")
    change_image(image, seed + 1)
    yield from profiled(site, "disk image of 1 GiB, 1 % changed", "backup", "image")
    shift_image(image, seed)
    yield from profiled(site, "disk image of 1 GiB, shifted", "backup", "image")


def _small_files(site: Site, directory: Path, seed: int) -> Iterator[dict[str, Any]]:
    data = _new_job(site, directory, "small")
    write_small_files(data, SMALL_FILES, seed)
    files = f"{SMALL_FILES:,} small files"
    yield from profiled(site, f"{files}, first", "backup", "small")
    yield from profiled(site, f"{files}, unchanged", "backup", "small")
    yield from _restored(site, f"{files}, restore", "small")
    change_tree(data, seed + 1, 1)
    yield from profiled(site, f"{files}, 1 % changed", "backup", "small")


def _share(site: Site, directory: Path, seed: int) -> Iterator[dict[str, Any]]:
    data = _new_job(site, directory, "share")
    copy_share(data, SHARE_FILES_MAX)
    yield from profiled(site, "/usr/share, first", "backup", "share")
    change_tree(data, seed + 1, 1)
    yield from profiled(site, "/usr/share, 1 % changed", "backup", "share")


def _tiny_files(site: Site, directory: Path, seed: int) -> Iterator[dict[str, Any]]:
    """As those of which one is restored out of a million."""
    data = _new_job(site, directory, "tiny")
    write_million(data, TINY_FILES, seed)
    yield from profiled(site, f"{TINY_FILES:,} files of about 1 KiB, first", "backup", "tiny")
    yield from profiled(site, f"{TINY_FILES:,} files of about 1 KiB, unchanged", "backup", "tiny")
    one = million_path(data, TINY_FILES // 2)
    yield from _restored(site, f"one file of {TINY_FILES:,}, caches warm", "tiny", str(one))


def _new_job(site: Site, directory: Path, name: str) -> Path:
    """Its data, an empty directory."""
    data = directory / name
    data.mkdir(parents=True)
    site.create_job(name, data)
    return data


def _restored(site: Site, case: str, job: str, *paths: str) -> Iterator[dict[str, Any]]:
    target = site.directory.parent / f"restored-{job}"
    to = ["--password-file", str(site.password_file), "--target", str(target)]
    yield from profiled(site, case, "restore", job, *paths, *to)
    shutil.rmtree(target)


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
