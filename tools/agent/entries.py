"""The entries of an unlocked safeset in order, all or those at and below some paths."""

from collections.abc import AsyncIterator, Sequence

from tools.agent.selection import merge_includes
from tools.agent.unlock import Unlocked
from tools.client.manifest import Entry
from tools.client.manifest_walk import ManifestWalk


def wanted_paths(paths: Sequence[bytes]) -> tuple[bytes, ...]:
    """Paths as people give them, as the manifest has them; without any, everything."""
    return merge_includes([path if path.startswith(b"/") else b"/" + path for path in paths] or [b"/"])


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
