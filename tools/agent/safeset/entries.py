"""The entries of an unlocked safeset in order, all or those at and below some paths."""

from collections.abc import AsyncGenerator, Collection, Sequence

from tools.agent.safeset.unlock import Unlocked
from tools.agent.selection import merge_includes
from tools.client.failure import Failure
from tools.client.manifest import (
    FLAG_BELOW_UNKNOWN,
    FLAG_CHANGED_WHILE_READ,
    FLAG_NOT_READ,
    FLAG_PARTLY_UNKNOWN,
    FLAG_PARTLY_UNREADABLE,
    KNOWN_KINDS,
    Entry,
    Extra,
)
from tools.client.manifest_walk import ManifestWalk
from tools.client.output import Output

Damage = dict[str, None]
"""Sentences about what of a manifest cannot be read or does not fit, each once, in order."""

_DAMAGE_SHOWN = 100
UNKNOWN_KIND = "left out: its kind is unknown to this program"
UNKNOWN_EXTRAS = "metadata unknown to this program left out"
_FLAG_CODES = {
    FLAG_CHANGED_WHILE_READ: "changed while it was read",
    FLAG_PARTLY_UNREADABLE: "partly unreadable when it was stored",
    FLAG_BELOW_UNKNOWN: "what was below is unknown: it could not be listed",
    FLAG_NOT_READ: "could not be read when the safeset was made",
    FLAG_PARTLY_UNKNOWN: "some of what was in it is unknown: it could not be looked at",
}


def tell_damage(output: Output, damage: Damage) -> None:
    for sentence in list(damage)[:_DAMAGE_SHOWN]:
        output.note(f"damage: {sentence}")
    if len(damage) > _DAMAGE_SHOWN:
        output.note(f"damage: {len(damage) - _DAMAGE_SHOWN} more")


def flagged(entry: Entry) -> list[str]:
    """The warnings that the run which stored the entry left in it."""
    flags = (entry.extras or {}).get(Extra.FLAGS, 0)
    return [code for flag, code in _FLAG_CODES.items() if flags & flag]


def left_out(entry: Entry) -> str | None:
    """The warning where a later version wrote something that this program does not know."""
    if entry.kind not in KNOWN_KINDS:
        return UNKNOWN_KIND
    return UNKNOWN_EXTRAS if entry.has_unknown else None


def wanted_paths(paths: Sequence[bytes]) -> tuple[bytes, ...]:
    """Paths as people give them, as the manifest has them; without any, everything."""
    if b"" in paths:
        raise Failure("usage", "a PATH is empty", "leave it out for everything; a shell variable may not be set")
    return merge_includes([path if path.startswith(b"/") else b"/" + path for path in paths] or [b"/"])


def paths_above(path: bytes) -> list[bytes]:
    """The directories on the way to a path, the highest first, without the file system's root."""
    components = path.split(b"/")
    return [b"/".join(components[:depth]) for depth in range(1, len(components))]


async def walk_safeset(
    unlocked: Unlocked, path: bytes, damage: Damage, also: Collection[bytes] = ()
) -> AsyncGenerator[list[Entry]]:
    """Entries at and below a path and those of `also`, in order, some leaves at a time; all in the same round trips.

    What cannot be read goes to `damage`; the rest comes.
    """
    damage.update(dict.fromkeys(unlocked.damage))
    walk = ManifestWalk(unlocked.top, path, also)
    wanted, fetched = walk.wanted(), [unlocked.top_block]
    while wanted:
        walk.give(fetched)
        entries = list(walk.take())
        damage.update(dict.fromkeys(map(str, walk.damage)))
        if entries:
            yield entries
        wanted = walk.wanted()
        fetched = await unlocked.fetcher.fetch_blocks(wanted)
