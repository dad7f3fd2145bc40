"""128 MiB, then 1 MiB inserted in front: what the second backup stores."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from benchmarks.scenarios.random_file import sample, write_random_file
from benchmarks.site import Site


def run(directory: Path, seed: int, rounds: int) -> list[dict[str, Any]]:
    del rounds  # a count of bytes, not a time: once is enough
    data = directory / "data"
    data.mkdir(parents=True)
    path = data / "image"
    write_random_file(path, 128 << 20, seed)
    with Site(directory / "site") as site:
        site.create_job("image", data)
        first = site.backup("image")
        before = site.stored_bytes()
        content = path.read_bytes()
        path.write_bytes(random.Random(seed + 1).randbytes(1 << 20) + content)
        second = site.backup("image")
        added = site.stored_bytes() - before
    return [sample("first", 0, first), {**sample("shifted", 0, second), "stored_added_bytes": added}]
