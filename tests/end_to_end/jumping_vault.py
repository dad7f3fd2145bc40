"""The daemon on a machine whose clock is off by the seconds that $JUMPING_CLOCK holds; they may change at any time.

Its TLS library goes by the real clock: to it, what the daemon certified meanwhile is of the future, or expired.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from vaultd.__main__ import main

CLOCK = Path(os.environ["JUMPING_CLOCK"])

real_time_ns = time.time_ns


def time_ns() -> int:
    return real_time_ns() + int(CLOCK.read_text(encoding="ascii")) * 1_000_000_000


if __name__ == "__main__":
    time.time_ns = time_ns
    main()
