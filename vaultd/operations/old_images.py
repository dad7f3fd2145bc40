"""What index and catalog say before they are made anew: how far the journal went, and where records lie.

They are read in a child: LMDB ends a process that touches a file which is shorter than its pages say.
"""

import faulthandler
import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from msgspec import Struct

from vaultd.catalog.database import START, Catalog, Position
from vaultd.image.probe import Image, look_at
from vaultd.operations.images import applied_by, images_kept
from vaultd.store.disk_door import Door
from vaultd.store.index import Index


class OldImages(Struct, frozen=True):
    """`applied`: the newest entry that any of them has, and `who` that is. `disk_ids`: where indexed records lie."""

    applied: Position = START
    who: str = "catalog"
    disk_ids: frozenset[bytes] = frozenset()


def look_at_index(paths: Sequence[Path]) -> OldImages:
    """Of those that are there and can be read; an index that was never whole has no position and says nothing."""
    return _newest([found for path in paths if path.exists() and (found := _in_child(_read_index, path))])


def look_at_catalog(paths: Sequence[Path]) -> OldImages:
    return _newest([found for path in paths if path.exists() and (found := _in_child(_read_catalog, path))])


def look_at_kept(door: Door, images: Sequence[Image]) -> OldImages:
    """What a start set aside as damaged knows of the journal as if it were still in its place."""
    kept = [one for image in images for one in images_kept(door, image)]
    return OldImages(applied_by(look_at(kept)), "image that was set aside")


def together(index: OldImages, *others: OldImages) -> OldImages:
    newest = _newest([index, *others])
    return OldImages(newest.applied, newest.who, index.disk_ids)


def _newest(found: Sequence[OldImages]) -> OldImages:
    return max(found, key=lambda images: images.applied.number, default=OldImages())


def _in_child(read: Any, path: Path) -> OldImages | None:
    """None where it cannot be read, also where the attempt kills."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(sender, read, path))
    child.start()
    sender.close()
    try:
        found: OldImages | None = receiver.recv()
    except EOFError:
        found = None
    finally:
        receiver.close()
        child.join()
    return found


def _send(sender: Connection, read: Any, path: Path) -> None:
    faulthandler.disable()
    try:
        found = read(path)
    except Exception:  # whatever is wrong with it: it says nothing
        found = None
    sender.send(found)


def _read_index(path: Path) -> OldImages | None:
    index = Index.open_read_only(path)
    position = index.position()
    if position is None:
        return None
    disk_ids = frozenset(row.disk_id for row in index.containers().values() if row.indexed_length)
    return OldImages(Position(*position), "index", disk_ids)


def _read_catalog(path: Path) -> OldImages:
    return OldImages(Catalog.open_read_only(path).position())
