"""The entries of an unlocked safeset in order, all or those at and below some paths."""

from collections.abc import AsyncIterator, Sequence

from tools.agent.selection import merge_includes
from tools.agent.unlock import Unlocked
from tools.client.manifest import KNOWN_KINDS, Entry
from tools.client.manifest_walk import ManifestWalk

UNKNOWN_KIND = "left out: its kind is unknown to this program"
UNKNOWN_EXTRAS = "metadata unknown to this program left out"


def left_out(entry: Entry) -> str | None:
    """The warning where a later version wrote something that this program does not know."""
    if entry.kind not in KNOWN_KINDS:
        return UNKNOWN_KIND
    return UNKNOWN_EXTRAS if entry.has_unknown else None


def wanted_paths(paths: Sequence[bytes]) -> tuple[bytes, ...]:
    """Paths as people give them, as the manifest has them; without any, everything."""
    return merge_includes([path if path.startswith(b"/") else b"/" + path for path in paths] or [b"/"])


def paths_above(path: bytes) -> list[bytes]:
    """The directories on the way to a path, the highest first, without the file system's root."""
    components = path.split(b"/")
    return [b"/".join(components[:depth]) for depth in range(1, len(components))]


async def find_entry(unlocked: Unlocked, path: bytes) -> Entry | None:
    """The entry of this very path; one block of each level is fetched, in general. IntegrityError as below."""
    walk = ManifestWalk(unlocked.top, path)
    walk.give([unlocked.top_block])
    while True:
        # What is at a path comes before everything below it.
        for entry in walk.take():
            return entry if entry.path == path else None
        wanted = walk.wanted()[:1]
        if not wanted:
            return None
        walk.give(await unlocked.fetcher.fetch_blocks(wanted))


async def walk_safeset(unlocked: Unlocked, path: bytes) -> AsyncIterator[list[Entry]]:
    """Entries in order, some leaves at a time. IntegrityError when a block is missing, damaged or inconsistent."""
    walk = ManifestWalk(unlocked.top, path)
    walk.give([unlocked.top_block])
    while True:
        if entries := list(walk.take()):
            yield entries
        wanted = walk.wanted()
        if not wanted:
            return
        walk.give(await unlocked.fetcher.fetch_blocks(wanted))
