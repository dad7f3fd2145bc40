"""What a scan counts, while it runs and at its end."""

import os
import stat
from dataclasses import dataclass, field

from tools.agent.scan.linked import CountedOnce


@dataclass(slots=True)
class ScanFigures:
    """`kernel_mounts` counts the file systems of the kernel that were not entered; `bytes_total` is an estimate, if
    any; `protected_bytes` are apparent sizes, the names of a hard-link set once; `remade_bytes` of `bytes_read` are of
    unchanged files, whose bundles were made anew."""

    files: int = 0
    directories: int = 0
    others: int = 0
    protected_bytes: int = 0
    bytes_read: int = 0
    remade_bytes: int = 0
    kernel_mounts: int = 0
    bytes_total: int | None = None
    _linked: CountedOnce = field(default_factory=CountedOnce, repr=False, compare=False)

    def count(self, status: os.stat_result, size_bytes: int) -> None:
        mode = status.st_mode
        if stat.S_ISREG(mode):
            self.files += 1
            if status.st_nlink == 1 or self._linked.is_first(status):
                self.protected_bytes += size_bytes
        elif stat.S_ISDIR(mode):
            self.directories += 1
        else:
            self.others += 1
