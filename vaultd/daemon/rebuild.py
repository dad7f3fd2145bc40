"""`vaultd rebuild`: how far it is and what came of it, for people and for scripts.

A line on a terminal, a JSON line about once a second for scripts, else nothing until the end.
"""

import json
import sys
import time
from collections import deque
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from vaultd.clock import SystemClock
from vaultd.config import load_config
from vaultd.operations.rebuild import RebuildReport, rebuild_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.findings import Severity
from vaultd.store.reading_progress import Reading

EXIT_OK, EXIT_WITHOUT_A_DISK, EXIT_DAMAGE = 0, 3, 9
LINE_EVERY_SECONDS = 0.2
JSON_EVERY_SECONDS = 1.0
# Speed is the mean of this long, so that one slow container does not make the estimate jump.
SPEED_OVER_SECONDS = 30.0
MEGABYTE = 1_000_000
_ERASE_LINE = "\r\x1b[K"


def rebuild(directory: Path, *, index_only: bool, as_json: bool) -> int:
    """The exit code; damage is told and does not keep the new images from taking their places."""
    begin = time.monotonic()
    screen = _Screen(as_json=as_json)
    config = load_config(directory)
    try:
        report = rebuild_vault(config, SystemClock(), SystemDoor(), screen.update, index_only=index_only)
    finally:
        screen.clear()
    summary = summarise(report, time.monotonic() - begin)
    if as_json:
        for finding in report.findings:
            click.echo(json.dumps({"type": "finding"} | msgspec.to_builtins(finding)))
        click.echo(json.dumps(summary))
    else:
        for finding in report.findings:
            click.echo(f"{finding.severity:<9}{finding.place}: {finding.sentence}")
        click.echo(summary_text(summary, index_only=index_only))
    if report.is_damaged:
        return EXIT_DAMAGE
    return EXIT_WITHOUT_A_DISK if report.offline or report.containers_lost else EXIT_OK


def summarise(report: RebuildReport, seconds: float) -> dict[str, Any]:
    counted = msgspec.to_builtins(report.counts)
    warnings = sum(finding.severity is Severity.warning for finding in report.findings)
    told = {"damaged": report.is_damaged, "warnings": warnings, "offline_disks": report.offline}
    told |= {"containers_lost": report.containers_lost}
    return {"type": "summary"} | counted | told | {"seconds": round(seconds, 3)}


def summary_text(summary: dict[str, Any], *, index_only: bool) -> str:
    """Two lines: what is in the new images, and whether anything is missing."""
    names = ("accounts", "computers", "jobs", "safesets")
    lines = [
        f"{'index' if index_only else 'index and catalog'} made anew in {summary['seconds']:.1f} s: "
        f"{_counted('records', summary['records'])} in {_counted('containers', summary['containers'])}; "
        + ", ".join(_counted(name, summary[name]) for name in names)
    ]
    if summary["records_without_key"]:
        left_out = _counted("records", summary["records_without_key"])
        lines.append(f"{left_out} left out: the catalog does not know the run key, so nobody could open them")
    if summary["damaged"]:
        lines.append("damage found: what it names is missing; the next runs send again what the computers still have")
    if summary["offline_disks"]:
        disks = ", ".join(summary["offline_disks"])
        lines.append(f"without {disks}: what lies there is indexed at the first start with the disk")
    if summary["containers_lost"]:
        lost = _counted("containers", summary["containers_lost"])
        lines.append(f"{lost} lay on disks that are lost: `vaultd check` names every safeset that misses them")
    if not (summary["damaged"] or summary["offline_disks"] or summary["containers_lost"]):
        lines.append("no damage found; every container was read")
    return "\n".join(lines)


class _Screen:
    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._is_terminal = not as_json and sys.stderr.isatty()
        self._every_seconds = JSON_EVERY_SECONDS if as_json else LINE_EVERY_SECONDS
        self._shown_seconds: float | None = None
        self._points: deque[tuple[float, int]] = deque()

    def update(self, reading: Reading) -> None:
        now = time.monotonic()
        self._points.append((now, reading.bytes))
        while len(self._points) > 2 and self._points[0][0] < now - SPEED_OVER_SECONDS:
            self._points.popleft()
        is_due = self._shown_seconds is None or now - self._shown_seconds >= self._every_seconds
        if not is_due or not (self._as_json or self._is_terminal):
            return
        self._shown_seconds = now
        status = status_line(reading, self._bytes_per_second())
        if self._as_json:
            click.echo(json.dumps(status))
        else:
            click.echo(_ERASE_LINE + status_text(status), err=True, nl=False)

    def clear(self) -> None:
        if self._is_terminal and self._shown_seconds is not None:
            click.echo(_ERASE_LINE, err=True, nl=False)

    def _bytes_per_second(self) -> float | None:
        (start, first), (end, last) = self._points[0], self._points[-1]
        return (last - first) / (end - start) if last > first and end > start else None


def status_line(reading: Reading, bytes_per_second: float | None) -> dict[str, Any]:
    left = None if bytes_per_second is None else (reading.bytes_total - reading.bytes) / bytes_per_second
    speed = {
        "bytes_per_second": None if bytes_per_second is None else round(bytes_per_second),
        "remaining_seconds": None if left is None else round(left),
    }
    return {"type": "status", "phase": "reading containers"} | msgspec.to_builtins(reading) | speed


def status_text(status: dict[str, Any]) -> str:
    parts = [
        f"{status['phase']} {status['containers']:,} of {status['containers_total']:,}",
        f"{status['bytes'] / MEGABYTE:,.0f} of {status['bytes_total'] / MEGABYTE:,.0f} MB",
        f"{status['records']:,} records",
    ]
    if status["bytes_per_second"] is not None:
        left = timedelta(seconds=status["remaining_seconds"])
        parts += [f"{status['bytes_per_second'] / MEGABYTE:,.0f} MB/s", f"{left} left"]
    return "  ".join(parts)


def _counted(name: str, count: int) -> str:
    return f"{count:,} {name.removesuffix('s') if count == 1 else name}"
