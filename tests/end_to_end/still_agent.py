"""The agent on a computer where nothing writes in the directories above $STILL_TREE.

They are entries of the manifest too, and other programs make files in /tmp all the time. Here each of them looks like
the tree itself, in which only the test writes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tools.agent.__main__ import main

TREE = os.environ["STILL_TREE"]
ABOVE = {bytes(path) for path in Path(TREE).parents}

real_stat = os.stat


def stat(path: Any, **more: Any) -> os.stat_result:
    return real_stat(TREE if path in ABOVE else path, **more)


if __name__ == "__main__":
    os.stat = stat  # type: ignore[assignment]
    main()
