"""Raw figures as files: docs/results/<scenario>.json."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.environment import ROOT
from benchmarks.tools.every_tool import versions

RESULTS = ROOT / "docs" / "results"
NAMED = ("trio", "h2", "msgspec", "lmdb", "blake3", "zstandard", "cryptography", "pyfastcdc")


def write_result(
    name: str, seed: int, start: float, samples: list[dict[str, Any]], *, is_shared: bool, **more: Any
) -> None:
    """`is_shared`: others used the machine meanwhile; `more`: what else the file says."""
    result = {**make_result(name, seed, start, samples), **more}
    result["machine"]["is_shared"] = is_shared
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def make_result(name: str, seed: int, start: float, samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Samples with where they come from; `start` is the time when the first of them began."""
    return {
        "scenario": name,
        "commit": head_commit(),
        "dirty": is_dirty(),
        "versions": {
            "python": platform.python_version(),
            **{part: version(part) for part in NAMED},
            **versions(),
        },
        "machine": {"cores": os.cpu_count(), "kernel": platform.release(), "processor": processor()},
        "seed": seed,
        "start": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start)),
        "end": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "samples": samples,
    }


def head_commit() -> str:
    """Empty where this is no checkout."""
    words = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def is_dirty() -> bool:
    """Something is not as in that commit, but for pages and figures."""
    words = ["git", "-C", str(ROOT), "status", "--porcelain", "--", ".", ":!docs"]
    return bool(subprocess.run(words, capture_output=True, text=True, check=False).stdout)


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
