"""What a start says of a disk that refuses a write it cannot do without: what failed, the path, and what to do."""

import errno

from vaultd.store.errors import NoSpace, StoreError

FULL = (errno.ENOSPC, errno.EDQUOT)
# A disk that refuses for one of these has lost nothing.
LOSES_NOTHING = (*FULL, errno.EROFS)


def refusal(what: str, error: OSError) -> StoreError:
    """The error to raise: nothing was acknowledged since, so the next start begins where this one did."""
    if error.errno in FULL:
        return NoSpace(f"{what}: the disk is full: {error}; free space there and start again")
    if error.errno == errno.EROFS:
        sentence = "mount it writable, or copy it to another disk and mount that there"
        return StoreError(f"{what}: the disk is read-only: {error}; {sentence}")
    return StoreError(f"{what}: {error}; replace the disk or take it offline")
