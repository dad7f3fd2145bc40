"""Where the vault keeps what is its own in DIR, and the word that no disk lies there.

Whoever makes index and catalog anew renames and removes directories of these names: a disk in one of them would go with
it. So settings that put one there are refused, and what is renamed or removed is looked at right before, because a
disk may lie there that the settings do not name.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from vaultd.config import CONFIG_FILE
from vaultd.errors import BadRequest, Conflict
from vaultd.store.disks.identity import IDENTITY_NAME
from vaultd.store.disks.opening import DIRECTORIES, LOCK_NAME, LOST_AND_FOUND, NEW_NAME

VAULT_ID_FILE = "vault.id"
SIGNING_KEY_FILE = "signing.key"
AUTHORITY_FILE = "authority.pem"
AUTHORITY_KEY_FILE = "authority.key"
SERVER_FILE = "server.pem"
SERVER_KEY_FILE = "server.key"
CONTEXT_FILE = "operator.context"
FILES = (
    CONFIG_FILE, VAULT_ID_FILE, SIGNING_KEY_FILE, AUTHORITY_FILE, AUTHORITY_KEY_FILE, SERVER_FILE, SERVER_KEY_FILE,
    CONTEXT_FILE, LOCK_NAME,
)  # fmt: skip

INDEX_DIRECTORY = "index"
CATALOG_DIRECTORY = "catalog"
NEW_SUFFIX = ".rebuilding"
OLD_SUFFIX = ".before-rebuild"
KEPT_SUFFIX = ".damaged"
KEPT_NEWEST_SUFFIX = ".damaged.newest"
SUFFIXES = (NEW_SUFFIX, OLD_SUFFIX, KEPT_SUFFIX, KEPT_NEWEST_SUFFIX)

_HINT = "give each disk a directory of its own; one that holds data is moved there whole, and `disks` corrected"


def refuse_shared_places(directory: Path, disks: Sequence[Path]) -> None:
    """Before anything is written. Links are followed, of disks and of index and catalog."""
    own = list(_own_places(directory))
    for disk in disks:
        resolved = disk.resolve()
        for place in own:
            if _share(resolved, place):
                raise BadRequest(f"disk {disk} cannot lie there: the vault itself uses {place}", _HINT)


def require_image(path: Path) -> None:
    """Before it is renamed or removed. An image has no directories in it, so whatever has some is another's."""
    if not path.is_dir():
        return
    for held in sorted(path.iterdir()):
        if held.name in (IDENTITY_NAME, NEW_NAME) or (held.is_dir() and held.name != LOST_AND_FOUND):
            raise Conflict(
                f"{path} is not renamed or removed: {held.name} in it belongs to no index or catalog",
                f"move that out of it; where {path} is a disk, move it elsewhere whole and correct `disks`",
            )


def _own_places(directory: Path) -> Iterator[Path]:
    """An image is set aside where its name is, and made anew beside the directory that a link names."""
    for name in FILES:
        yield directory.resolve() / name
    for name in (INDEX_DIRECTORY, CATALOG_DIRECTORY):
        for place in dict.fromkeys([directory.resolve() / name, (directory / name).resolve()]):
            yield place
            yield from (place.with_name(place.name + suffix) for suffix in SUFFIXES)


def _share(disk: Path, place: Path) -> bool:
    """A disk may hold an image, but not in the directories that are its own."""
    own = [disk / name for name in DIRECTORIES]
    return disk.is_relative_to(place) or any(place.is_relative_to(one) for one in own)
