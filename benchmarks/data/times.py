"""Times of files that were not written just now: no tool has to distrust them."""

from __future__ import annotations

import os
from pathlib import Path

OLD_NS = 1_750_000_000_123_456_789
STEP_NS = 1_000_000_007


def make_old(path: Path, step: int = 0) -> None:
    """A modification time of long ago; a file that changes again gets that of a later `step`."""
    os.utime(path, ns=(OLD_NS, OLD_NS + step * STEP_NS))
