"""What a scanned path becomes: the row that the feed takes. For one thread."""

import os
import stat
from typing import Any

from tools.agent.file_kinds import KINDS
from tools.agent.scan.batch import Extents, ScanRow
from tools.agent.scan.fingerprint import Fingerprint, held_time
from tools.agent.system.owners import group_name, user_name
from tools.client.entry_packer import EntryPacker

# Kinds, modes and owners of a tree are few; one that is made to have many must not fill the memory.
_ACCESS_MAX = 4096
# Python says -1 for the highest number of an owner.
_OWNER_BITS = 2**32 - 1


class RowMaker:
    def __init__(self) -> None:
        self._packer = EntryPacker()
        self._access: dict[tuple[int, int, int], bytes] = {}

    def file(
        self, path: bytes, status: os.stat_result, size: int, hash: bytes | None, extents: Extents,
        fingerprint: Fingerprint, extras: dict[int, Any] | None = None,
    ) -> ScanRow:  # fmt: skip
        prefix = self._packer.prefix(path, self._access_of(status), held_time(status.st_mtime_ns), size, hash)
        return ScanRow(path, prefix, extents, self._packer.extras(extras), size, fingerprint)

    def other(
        self, path: bytes, status: os.stat_result, fingerprint: Fingerprint, extras: dict[int, Any] | None = None
    ) -> ScanRow:
        """Something without content."""
        return self.file(path, status, 0, None, (), fingerprint, extras)

    def _access_of(self, status: os.stat_result) -> bytes:
        key = mode, uid, gid = status.st_mode, status.st_uid & _OWNER_BITS, status.st_gid & _OWNER_BITS
        access = self._access.get(key)
        if access is None:
            if len(self._access) >= _ACCESS_MAX:
                self._access.clear()
            kind = KINDS[stat.S_IFMT(mode)]
            access = self._packer.access(kind, stat.S_IMODE(mode), uid, gid, user_name(uid), group_name(gid))
            self._access[key] = access
        return access
