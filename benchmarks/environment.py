"""The environment of programs that are measured: ours as if they were installed, peers as a user starts them."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def of_peers() -> dict[str, str]:
    """What is set for our interpreter says nothing to theirs."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def of_ours() -> dict[str, str]:
    """Compiled modules are kept, as after an installation: where the environment says, or in a place of their own."""
    compiled = os.environ.get("PYTHONPYCACHEPREFIX") or str(compiled_modules())
    return {**of_peers(), "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": compiled}


@cache
def compiled_modules() -> Path:
    """One directory for all programs that this process starts; the first ones fill it before anything is timed."""
    directory = Path(tempfile.mkdtemp(prefix="safeset-bench-compiled-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory
