"""`vaultd check`: the offline check, as a document."""

from pathlib import Path
from typing import Any

import msgspec

from vaultd.config import load_config
from vaultd.operations import check
from vaultd.store.disk_door import SystemDoor


def check_vault(directory: Path, *, read_data: bool) -> dict[str, Any]:
    """What was looked at, what was found, and whether any of it is damage."""
    report = check.check_vault(load_config(directory), SystemDoor(), read_data=read_data)
    return {
        "damaged": report.is_damaged,
        "findings": [msgspec.to_builtins(finding) for finding in report.findings],
        "counts": msgspec.to_builtins(report.counts) | {"jobs": report.jobs},
    }
