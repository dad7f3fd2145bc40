"""A disk image: first, restored, with 1 % changed, and that with a MiB inserted in front."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.compared.scale import Scale
from benchmarks.data.disk_image import change_image, shift_image, write_image
from benchmarks.rounds import Contest, backup_of, restore_of, run_fresh

TOOLS = ("safeset", "restic", "borg")


def run(directory: Path, seed: int, rounds: int, scale: Scale) -> dict[str, Any]:
    data = directory / "data"
    data.mkdir()
    image = data / "image"
    phases = [
        backup_of(data, "first", lambda number: write_image(image, scale.image_bytes, seed)),
        restore_of(data, "restore", directory),
        backup_of(data, "1 % changed", lambda number: change_image(image, seed + 1 + number)),
        backup_of(data, "shifted", lambda number: shift_image(image, seed + number)),
    ]
    return run_fresh(Contest(directory, TOOLS, rounds), phases)
