"""What index and catalog say before they are made anew: how far the journal went, and where records lie.

They are read in a child: LMDB ends a process that touches a file which is shorter than its pages say.
"""

import faulthandler
import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from msgspec import Struct

from vaultd.catalog.database import START, Catalog, Position
from vaultd.errors import Unavailable
from vaultd.image.probe import Image, is_there, look_at
from vaultd.operations.images import applied_by, images_kept
from vaultd.store.disk_door import Door
from vaultd.store.index.index import Index


class OldImages(Struct, frozen=True):
    """`applied`: the newest entry that any of them has, and `who` that is. `disk_ids`: where indexed records lie."""

    applied: Position = START
    who: str = "catalog"
    disk_ids: frozenset[bytes] = frozenset()


_Read = Callable[[Path], OldImages]


def look_at_index(paths: Sequence[Path]) -> OldImages:
    """Of those that are there; an index that was never whole has no position and says nothing."""
    return _newest([_look_at_old("index", Index.image(path), _read_index) for path in paths])


def look_at_catalog(paths: Sequence[Path]) -> OldImages:
    return _newest([_look_at_old("catalog", Catalog.image(path), _read_catalog) for path in paths])


def look_at_kept(door: Door, images: Sequence[Image]) -> OldImages:
    """What a start set aside as damaged knows of the journal as if it were still in its place."""
    kept = [one for image in images for one in images_kept(door, image)]
    return OldImages(applied_by(look_at(kept)), "image that was set aside")


def together(index: OldImages, *others: OldImages) -> OldImages:
    newest = _newest([index, *others])
    return OldImages(newest.applied, newest.who, index.disk_ids)


def _newest(found: Sequence[OldImages]) -> OldImages:
    return max(found, key=lambda images: images.applied.number, default=OldImages())


def _look_at_old(who: str, image: Image, read: _Read) -> OldImages:
    """Of one that is damaged no more than how far the journal went. What was not read for another cause is no damage:
    without what it says the rebuild would not be refused where it has to be.
    """
    if not is_there(image):
        return OldImages()
    found = _in_child(read, image.path)
    if found is not None:
        return found
    looks = look_at([image])
    if not looks[0].fault:
        raise Unavailable(
            f"{image.path} could not be read by another process, and nothing is wrong with it",
            "try again with more memory and processes; to go on without what it says, move it away first",
        )
    return OldImages(applied_by(looks), who)


def _in_child(read: _Read, path: Path) -> OldImages | None:
    """None where it cannot be read, also where the attempt kills."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with receiver:
        with sender:
            child = context.Process(target=_send, args=(sender, read, path))
            try:
                child.start()
            except OSError:
                return None
        try:
            found: OldImages | None = receiver.recv()
        except (EOFError, OSError):
            found = None
        child.join()
    return found


def _send(sender: Connection, read: _Read, path: Path) -> None:
    faulthandler.disable()
    try:
        found = read(path)
    except Exception:  # whatever is wrong with it
        found = None
    sender.send(found)


def _read_index(path: Path) -> OldImages:
    index = Index.open_read_only(path)
    position = index.position()
    if position is None:
        return OldImages()
    disk_ids = frozenset(row.disk_id for row in index.containers().values() if row.indexed_length)
    return OldImages(Position(*position), "index", disk_ids)


def _read_catalog(path: Path) -> OldImages:
    try:
        return OldImages(Catalog.open_read_only(path).position())
    except KeyError:  # it has no table for that: the first start was killed over it
        return OldImages()
