"""`vaultd check`: how far it is and what was found, for people and for scripts.

A script reads one JSON document from stdout, however long the check takes; how far it is only a terminal is told.
"""

import json
from pathlib import Path
from typing import Any

import click
import msgspec

from vaultd.config import load_config
from vaultd.daemon.reading_screen import ReadingScreen
from vaultd.operations.check import VaultReport, check_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.findings import Severity

EXIT_OK, EXIT_WARNINGS, EXIT_DAMAGE = 0, 3, 9


def check(directory: Path, *, read_data: bool, as_json: bool) -> int:
    """The exit code: one that promises that all is well is given only where everything could be looked at."""
    screen = ReadingScreen("checking containers")
    config = load_config(directory)
    try:
        report = check_vault(config, SystemDoor(), read_data=read_data, tell=screen.update)
    finally:
        screen.clear()
    summary = summarise(report, read_data=read_data)
    if as_json:
        click.echo(json.dumps(summary))
    else:
        for finding in report.findings:
            click.echo(f"{finding.severity:<9}{finding.place}: {finding.sentence}")
        click.echo(summary_text(summary))
    return exit_code(summary)


def summarise(report: VaultReport, *, read_data: bool) -> dict[str, Any]:
    """What was looked at and what was not, what was found, and whether any of it is damage."""
    return {
        "type": "summary",
        "damaged": report.is_damaged,
        "data_read": read_data,
        "warnings": sum(finding.severity is Severity.warning for finding in report.findings),
        "not_checked": list(report.unchecked),
        "findings": [msgspec.to_builtins(finding) for finding in report.findings],
        "counts": msgspec.to_builtins(report.counts) | {"jobs": report.jobs},
    }


def exit_code(summary: dict[str, Any]) -> int:
    if summary["damaged"]:
        return EXIT_DAMAGE
    return EXIT_WARNINGS if summary["warnings"] or summary["not_checked"] else EXIT_OK


def summary_text(summary: dict[str, Any]) -> str:
    """Two lines: how much was looked at, and what that says of the vault."""
    parts = ["damage found" if summary["damaged"] else "no damage found"]
    if summary["not_checked"]:
        parts[0] += " in what was checked"
        parts.append("not checked: " + ", and ".join(summary["not_checked"]))
    elif summary["warnings"] and not summary["damaged"]:
        parts[0] += f", with {_counted('warnings', summary['warnings'])}"
    parts.append(_told_of_data(summary))
    counts = ", ".join(_counted(name, count) for name, count in summary["counts"].items())
    return f"checked {counts}\n" + "; ".join(parts)


def _told_of_data(summary: dict[str, Any]) -> str:
    """That every record was read is said only where nothing was in the way."""
    if not summary["data_read"]:
        return "records were not read (--read-data)"
    if not (summary["not_checked"] or summary["damaged"]):
        return "every record was read"
    if not summary["counts"]["records_in_containers"]:
        return "no record was read"
    return "every record that can be read was read"


def _counted(name: str, count: int) -> str:
    words = name.replace("_", " ")
    if count == 1:
        words = words.removesuffix("ies") + "y" if words.endswith("ies") else words.removesuffix("s")
    return f"{count:,} {words}"
