"""Processes with all that they started: processor time and anonymous memory, read from /proc."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterable
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def tree(roots: Iterable[int], without: Collection[int] = ()) -> list[int]:
    """The ids of `roots` and of all that descends from them, but for `without` and what descends from those."""
    found, waiting = [], list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in without and pid not in found:
            found.append(pid)
            waiting += children(pid)
    return found


def children(pid: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(word) for thread in threads for word in (thread / "children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def cpu_seconds(*roots: int) -> float:
    """User and system time of `roots` and of what they started; also of what has ended, where its parent waited."""
    ticks = 0
    for pid in tree(roots):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS_PER_SECOND


def terminate(pid: int) -> None:
    """SIGTERM to a program, past the tracer that it may run under."""
    comm = Path(f"/proc/{pid}/comm").read_text(encoding="ascii", errors="replace").strip()
    for target in children(pid) if comm == "strace" else [pid]:
        os.kill(target, signal.SIGTERM)


def anonymous_bytes(pids: Iterable[int]) -> int:
    return sum(_anonymous_bytes(pid) for pid in pids)


def peak_resident_bytes(pid: int) -> int:
    """Since it began, with the pages of files that it has mapped."""
    return _status_bytes(pid, "VmHWM")


def mapped_bytes(pid: int, name: str) -> int:
    """Pages of mapped files of this name that are in memory now: the system takes them back when it needs room."""
    found, is_it = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="ascii", errors="replace").splitlines():
        first, *rest = line.split()
        if not first.endswith(":"):
            is_it = line.endswith(f"/{name}")
        elif is_it and first == "Rss:":
            found += int(rest[0]) * 1024
    return found


def _anonymous_bytes(pid: int) -> int:
    return _status_bytes(pid, "RssAnon")


def _status_bytes(pid: int, name: str) -> int:
    """0 where it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = text.partition(f"{name}:")[2].split(None, 1)
    return int(found[0]) * 1024 if found else 0
