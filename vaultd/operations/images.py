"""Index and catalog before they are opened: one that is damaged is set aside, and made again from the disks.

It is renamed and not removed: where the journal is damaged too, a damaged index may be the only thing that knows what
is in a container. Two of each are kept, the first, which knows what those after it were made without, and the newest.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from vaultd.image.probe import Image, find_faults
from vaultd.store.disk_door import Door
from vaultd.store.findings import Finding, Severity

KEPT_SUFFIX = ".damaged"
KEPT_NEWEST_SUFFIX = ".damaged.newest"


def set_damaged_aside(door: Door, images: Sequence[Image]) -> list[Finding]:
    """What is kept is told at every start, until an operator moved it away."""
    findings = []
    for image, fault in zip(images, find_faults(images), strict=True):
        kept_now = _set_aside(door, image.path) if fault else None
        for kept in (_beside(image.path, KEPT_SUFFIX), _beside(image.path, KEPT_NEWEST_SUFFIX)):
            if kept == kept_now:
                sentence = f"it was damaged ({fault}): it was renamed to {kept.name}, and is made again"
                findings.append(Finding(Severity.warning, str(image.path), sentence))
            elif door.exists(kept):
                sentence = "a damaged image was set aside here; move it away when `vaultd check` finds nothing"
                findings.append(Finding(Severity.warning, str(kept), sentence))
    return findings


def _set_aside(door: Door, path: Path) -> Path:
    kept = _beside(path, KEPT_SUFFIX)
    if door.exists(kept):
        kept = _beside(path, KEPT_NEWEST_SUFFIX)
        if door.exists(kept):
            _remove(door, kept)
    door.rename(path, kept)
    door.fsync_directory(path.parent)
    return kept


def _remove(door: Door, path: Path) -> None:
    if path.is_symlink():
        door.unlink(path)
    else:
        shutil.rmtree(path)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
