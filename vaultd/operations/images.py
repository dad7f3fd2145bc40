"""Index and catalog before they are opened: one that is damaged is set aside, and made again from the disks.

It is renamed and not removed: where the journal is damaged too, a damaged index may be the only thing that knows what
is in a container. Two of each are kept, the first, which knows what those after it were made without, and the newest.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vaultd.catalog.database import POSITION, START, Position
from vaultd.image.probe import Image, Look, look_at
from vaultd.operations.places import KEPT_NEWEST_SUFFIX, KEPT_SUFFIX, require_image
from vaultd.store.disk_door import Door
from vaultd.store.findings import Finding, Severity


class SetAside(NamedTuple):
    """`applied`: the newest journal entry that any image which was set aside has applied, as far as it can be told."""

    findings: list[Finding]
    applied: Position


def set_damaged_aside(door: Door, images: Sequence[Image]) -> SetAside:
    """What is kept is told at every start, until an operator moved it away; until then the journal must hold what it
    has applied, as if it were still in its place.
    """
    findings = []
    kept_images = []
    for image, look in zip(images, look_at(images), strict=True):
        kept_now = _set_aside(door, image.path) if look.fault else None
        for kept in images_kept(door, image):
            if kept.path == kept_now:
                sentence = f"it was damaged ({look.fault}): it was renamed to {kept_now.name}, and is made again"
                findings.append(Finding(Severity.warning, str(image.path), sentence))
            else:
                sentence = "a damaged image was set aside here; move it away when `vaultd check` finds nothing"
                findings.append(Finding(Severity.warning, str(kept.path), sentence))
            kept_images.append(kept)
    return SetAside(findings, applied_by(look_at(kept_images)))


def images_kept(door: Door, image: Image) -> list[Image]:
    """Those that were set aside from its place, the first before the newest."""
    paths = (_beside(image.path, suffix) for suffix in (KEPT_SUFFIX, KEPT_NEWEST_SUFFIX))
    return [image._replace(path=path) for path in paths if door.exists(path)]


def applied_by(looks: Sequence[Look]) -> Position:
    """The newest of their positions, also of those that are damaged, as far as it can be told."""
    return newest(START, *[Position(*POSITION.unpack(look.position)) for look in looks if look.position])


def newest(*positions: Position) -> Position:
    return max(positions, key=lambda position: position.number)


def _set_aside(door: Door, path: Path) -> Path:
    require_image(path)
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
        require_image(path)
        shutil.rmtree(path)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
