"""The service steps back behind everything that people do on the computer: processor and disk.

Threads and children that are made later inherit both. A command that a person started is not lowered.
"""

import ctypes
import os
import platform
from contextlib import suppress

NICE = 10
_BEST_EFFORT, _LOWEST = 2, 7
_CLASS_SHIFT = 13
_THIS_PROCESS = 1
# The C library has no function for it.
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "armv7l": 314, "i686": 289, "ppc64le": 273, "s390x": 282}


def lower_priority() -> None:
    """Best-effort 7 and not idle: on a disk that is always busy an idle backup would never end. What the system does
    not allow stays as it was.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, _THIS_PROCESS, 0, _BEST_EFFORT << _CLASS_SHIFT | _LOWEST)
