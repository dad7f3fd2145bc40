"""The one place where errors of the store become errors that are answered."""

from collections.abc import Iterator
from contextlib import contextmanager

from vaultd.errors import Conflict, Damaged, Internal, NoSpace, Unavailable
from vaultd.store import errors as store_errors
from vaultd.store.refusals import FULL

OFFLINE_HINT = "the operator brings the disk back"
NO_SPACE_HINT = "the operator makes room on a disk"
ROOM_HINT = "nothing that was acknowledged is lost; start again when there is room"


@contextmanager
def told_in_full() -> Iterator[None]:
    """On the operator's own terminal: there the sentence names the disk and its path, which clients are not told."""
    with translated():
        try:
            yield
        except store_errors.DiskMissing as error:
            raise Unavailable(str(error), "mount it; one that is gone for good is replaced by a new one") from error
        except store_errors.StoreBroken as error:
            raise Unavailable(str(error), "look at the disk, then start again") from error
        except store_errors.NoSpace as error:
            raise NoSpace(str(error), ROOM_HINT) from error
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise NoSpace(f"a disk is full: {error}; free space there", ROOM_HINT) from error


@contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except store_errors.StoreBroken as error:
        raise Unavailable(
            "the store stopped after a disk error; what was not acknowledged is not stored",
            "the operator restarts vaultd, which recovers from disk",
        ) from error
    except store_errors.RecordUnread as error:
        raise Unavailable("the vault cannot read its disks just now", "try again later") from error
    except store_errors.DiskMissing as error:
        raise Unavailable("a disk of the vault is offline", OFFLINE_HINT) from error
    except store_errors.InUse as error:
        raise Conflict(str(error), "two at once would destroy what the disks hold") from error
    except store_errors.NoSpace as error:
        raise NoSpace("the vault has no room left", NO_SPACE_HINT) from error
    except OSError as error:  # of files that are written at once: erase keys, checkpoints
        if error.errno not in FULL:
            raise
        raise NoSpace("the vault has no room left", NO_SPACE_HINT) from error
    except store_errors.NewerFormat as error:
        raise Conflict(str(error)) from error
    except store_errors.RecordDamaged as error:
        raise Damaged(str(error)) from error
    except store_errors.StoreError as error:
        raise Internal(str(error)) from error
