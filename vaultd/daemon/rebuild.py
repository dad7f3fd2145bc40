"""`vaultd rebuild`: how far it is and what came of it, for people and for scripts.

A line on a terminal, a JSON line about once a second for scripts, else nothing until the end.
"""

import json
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from vaultd.clock import SystemClock
from vaultd.config import load_config
from vaultd.daemon.reading_screen import ReadingScreen
from vaultd.operations.rebuild import RebuildReport, rebuild_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.findings import Severity

EXIT_OK, EXIT_WITHOUT_A_DISK, EXIT_DAMAGE = 0, 3, 9


def rebuild(directory: Path, *, index_only: bool, as_json: bool) -> int:
    """The exit code; damage is told and does not keep the new images from taking their places."""
    begin = time.monotonic()
    screen = ReadingScreen("reading containers", as_json=as_json)
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
        f"{_counted('records', summary['records_in_index'])} of {_counted('containers', summary['containers'])}; "
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


def _counted(name: str, count: int) -> str:
    return f"{count:,} {name.removesuffix('s') if count == 1 else name}"
