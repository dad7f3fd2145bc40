"""What of a path's status says that it is as it was, and when that can be trusted."""

import os
from typing import NamedTuple

# What was written this shortly before it was read may change again without its times changing. Where a file system
# keeps whole seconds only (or two of them), all nanoseconds are zero.
FINE_MARGIN_NS = 50_000_000
COARSE_MARGIN_NS = 3_000_000_000


class Fingerprint(NamedTuple):
    """What must be the same for a path to count as unchanged. An inode of 0 is never the same: read it next time."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


NEVER_THE_SAME = Fingerprint(0, 0, 0, 0)


def fingerprint_of(status: os.stat_result, begin_ns: int) -> Fingerprint:
    """Of what was looked at and read from `begin_ns` on; one that is never the same where the times are too young.

    Only the modification time may lie in the future for long: anybody may set it.
    """
    mtime_ns, ctime_ns = status.st_mtime_ns, status.st_ctime_ns
    is_fine = mtime_ns % 1_000_000_000 or ctime_ns % 1_000_000_000
    margin_ns = FINE_MARGIN_NS if is_fine else COARSE_MARGIN_NS
    if ctime_ns >= begin_ns - margin_ns or abs(mtime_ns - begin_ns) <= margin_ns:
        return NEVER_THE_SAME
    return Fingerprint(status.st_size, mtime_ns, ctime_ns, status.st_ino)
