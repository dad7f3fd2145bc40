"""What of a path's status says that it is as it was, and when that can be trusted.

The number of the device is no part of it: LVM, NFS, btrfs and loop devices get another one at a reboot or a mount, and
everything would be read again. Another file system under the same path has other inodes and change times, but for
those whose change times say nothing (kernel_mounts.py): there a file is read by every run.
"""

import os
import stat
from pathlib import Path
from typing import NamedTuple

# What was written this shortly before it was read may change again without its times changing. Where a file system
# keeps whole seconds only (or two of them), all nanoseconds are zero.
FINE_MARGIN_NS = 50_000_000
COARSE_MARGIN_NS = 3_000_000_000
_WRITE_BACK_NS_MIN = 60_000_000_000
_CENTISECOND_NS = 10_000_000
_FOR_EVER_NS = 2**63


def write_back_ns(settings: Path = Path("/proc/sys/vm")) -> int:
    """How long a page may be dirty before the kernel has written it: as long as it may age, and two rounds of looking
    for what is that old. At least a minute, which is what a system has that nobody changed, and some more.
    """
    try:
        expire, interval = (int((settings / f"dirty_{name}_centisecs").read_text()) for name in ("expire", "writeback"))
    except (OSError, ValueError):
        return _WRITE_BACK_NS_MIN
    if interval == 0:
        return _FOR_EVER_NS  # nobody looks
    return max(_WRITE_BACK_NS_MIN, (expire + 2 * interval) * _CENTISECOND_NS)


# A write through a memory map moves the times when it makes a clean page dirty, and not again until the kernel has
# written that page. So a file changed this lately may change unseen. The change time has the short margin: a tree that
# was just unpacked with its old times is not read twice, at the price of a file whose old time was set while it is
# mapped and goes on changing.
WRITE_BACK_NS = write_back_ns()

# What the manifest and the cache hold of a number: 64 bits with a sign.
_I64_MIN, _I64_MAX = -(2**63), 2**63 - 1


class Fingerprint(NamedTuple):
    """What must be the same for a path to count as unchanged. An inode of 0 is never the same: read it next time."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


NEVER_THE_SAME = Fingerprint(0, 0, 0, 0)


def fingerprint_of(status: os.stat_result, begin_ns: int) -> Fingerprint:
    """Of what was looked at and read from `begin_ns` on; one that is never the same where the times are too young, or
    too far away to be kept.

    Only the modification time may lie in the future for long: anybody may set it.
    """
    mtime_ns, ctime_ns = status.st_mtime_ns, status.st_ctime_ns
    is_fine = mtime_ns % 1_000_000_000 or ctime_ns % 1_000_000_000
    margin_ns = FINE_MARGIN_NS if is_fine else COARSE_MARGIN_NS
    is_mappable = stat.S_ISREG(status.st_mode) and status.st_size
    mtime_margin_ns = WRITE_BACK_NS if is_mappable else margin_ns
    if ctime_ns >= begin_ns - margin_ns or abs(mtime_ns - begin_ns) <= mtime_margin_ns:
        return NEVER_THE_SAME
    if mtime_ns != held_time(mtime_ns) or ctime_ns != held_time(ctime_ns):
        return NEVER_THE_SAME
    return Fingerprint(status.st_size, mtime_ns, ctime_ns, signed_inode(status.st_ino))


def held_time(time_ns: int) -> int:
    """The nearest time that a manifest holds; file systems know years far away from 1677 to 2262."""
    return min(max(time_ns, _I64_MIN), _I64_MAX)


def signed_inode(inode: int) -> int:
    """The same 64 bits as the cache keeps them; network file systems use the highest too."""
    return inode if inode <= _I64_MAX else inode - 2**64
