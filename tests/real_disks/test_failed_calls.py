"""System calls of the running daemon, those of LMDB too, fail once and are fine afterwards (strace does that)."""

import errno
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Site, differences
from tests.real_disks.conftest import MIB, Place

NEW_BYTES = 5 * MIB  # more than the buffer of a container: it is written in two calls
CONTAINER, JOURNAL = "disk-1/containers/*/*.container", "disk-1/journal/*.journal"
INDEX, CATALOG = "index/data.mdb", "catalog/data.mdb"
STOPPED, FULL = (8, "the store stopped"), (7, "no room left")


def newest(site: Site, pattern: str) -> Path:
    return max(site.vault.glob(pattern))


@contextmanager
def failing(site: Site, path: Path, call: str, error: str) -> Iterator[Path]:
    """The first such call on this file in any thread fails; gives the trace."""
    assert site.daemon is not None
    trace = site.directory / "strace.out"
    strace = subprocess.Popen(
        ["strace", "-f", "-y", "-s", "0", "-p", str(site.daemon.pid), "-P", path, "-o", trace,
         "-e", "trace=openat,pwrite64,pwritev,fdatasync,fsync", "-e", f"inject={call}:error={error}:when=1"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert strace.stderr is not None
    try:
        assert "attached" in strace.stderr.readline()
        yield trace
    finally:
        strace.terminate()
        strace.wait(10)
        strace.stderr.close()


def calls_after_failure(trace: Path, call: str) -> list[str]:
    lines = trace.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if "(INJECTED)" in line)
    return [line for line in lines[first + 1 :] if re.search(rf"\b{call}\(", line)]


@pytest.mark.parametrize(
    ("pattern", "call", "error", "told"),
    [
        (CONTAINER, "pwrite64", "EIO", STOPPED),
        (CONTAINER, "pwrite64", "EDQUOT", FULL),
        (CONTAINER, "fdatasync", "EIO", STOPPED),
        (JOURNAL, "pwrite64", "ENOSPC", FULL),
        (JOURNAL, "fdatasync", "EIO", STOPPED),
        (INDEX, "fdatasync", "EIO", STOPPED),
        (INDEX, "fdatasync", "ENOSPC", FULL),
        (CATALOG, "fdatasync", "EIO", STOPPED),
    ],
)
def test_a_call_that_fails_once_is_not_tried_again_and_ends_the_daemon(
    place: Place, tmp_path: Path, pattern: str, call: str, error: str, told: tuple[int, str]
) -> None:
    site = place(tmp_path / "vault")
    site.start()
    (site.source / "new").write_bytes(os.urandom(NEW_BYTES))
    lines = len(site.log_lines())
    with failing(site, newest(site, pattern), call, error) as trace:
        done = site.run_impatient_agent("pc", "backup", "home")
        assert site.wait() == 1
    assert done.exit_code == told[0], done.error
    assert re.search(told[1], done.error)
    assert done.last["hint"]
    (stopped, *_) = [line for line in site.log_lines()[lines:] if line["event"] == "store stopped"]
    assert os.strerror(getattr(errno, error)) in stopped["problem"]
    assert calls_after_failure(trace, "fdatasync") == []
    site.start()
    assert site.backup("pc", "home")["safeset"] == 2
    assert differences(site.source, site.restored_source("after")) == []
