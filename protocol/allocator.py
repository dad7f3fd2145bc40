"""How the C library keeps memory between buffers.

Contents, records and frames are buffers of one or two MiB, made and dropped all the time, at both ends of a connection.
As it comes the allocator gives most of them back to the kernel, which then clears the same pages again and again for
the next one, and a frame that grows piece by piece is moved each time.
"""

import ctypes
from contextlib import suppress

# Names and numbers of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEPT_BYTES = 64 * 1024 * 1024
_LARGEST_BUFFER_BYTES = 32 * 1024 * 1024


def reuse_freed_memory() -> None:
    """For a process whose buffers are bounded by a budget. One arena, so that each thread reuses what others freed."""
    with suppress(OSError, AttributeError):  # another C library than glibc: it is only slower
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_BUFFER_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
