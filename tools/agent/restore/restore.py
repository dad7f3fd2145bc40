"""A restore: entries are surveyed and planned, chunks fetched ahead within a budget, files written, all at once.

The plan runs ahead of the writer by at most the budget. Whatever is damaged is named and the rest goes on.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence, Set
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import trio

from protocol.allocator import reuse_freed_memory
from tools.agent.budget import ByteBudget
from tools.agent.missed import Missed
from tools.agent.restore.linked_names import LinkedNames
from tools.agent.restore.make_node import DEVICES, NODES
from tools.agent.restore.metadata import RIGHTS_LEFT_OUT, Rights
from tools.agent.restore.restore_plan import Planner
from tools.agent.restore.survey import Decision, Overwrite, Survey
from tools.agent.restore.write_tree import LOST, NOT_LINKED, OTHER_METADATA, TreeWriter
from tools.agent.safeset.entries import Damage, flagged, left_out, paths_above, walk_safeset
from tools.agent.safeset.unlock import Unlocked
from tools.agent.safeset.window import Slot, Window
from tools.agent.selection import is_inside
from tools.client.failure import Failure
from tools.client.keyring import file_hash_key
from tools.client.manifest import FLAG_NOT_READ, Entry, Extra, Kind, has_streams
from tools.client.offload import compute
from tools.client.record_format import IntegrityError
from tools.client.terminal_text import escape_path

MEMORY_BUDGET_BYTES = 48 * 1024 * 1024
NOT_IN_SAFESET = "not in the safeset"
_WINDOWS_AHEAD = 16
_ROOT_MODE = 0o700
_WARNINGS = {
    Decision.exists: "exists",
    Decision.in_the_way: "in the way",
    Decision.other_metadata: OTHER_METADATA,
}
RESTORED_KINDS = (Kind.FILE, Kind.DIRECTORY, *NODES)
DEVICE_LEFT_OUT = "device left out (--privileged)"


@dataclass(frozen=True, slots=True)
class Destination:
    root: Path
    overwrite: Overwrite
    rights: Rights = Rights()
    memory_budget_bytes: int = MEMORY_BUDGET_BYTES


@dataclass(frozen=True, slots=True)
class Restored:
    """`left`: files that were there already and stayed, because they are the same or the rule says so."""

    files: int
    bytes: int
    left: int
    missed: Missed
    manifest_damage: Damage

    @property
    def is_damaged(self) -> bool:
        return bool(self.manifest_damage) or self.lost > 0

    @property
    def lost(self) -> int:
        """Paths whose content did not come, whatever the vault says of the reason: it may lie."""
        return sum(self.missed.codes[code] for code in LOST)


Tell = Callable[[int, int], None]
"""Files that are written, and how many of the protected bytes are done: written, or in holes, or of what stays."""


Plan = Callable[[Sequence[bytes], trio.MemorySendChannel[Window], trio.Nursery], Awaitable[None]]


async def restore(unlocked: Unlocked, paths: Sequence[bytes], destination: Destination, tell: Tell) -> Restored:
    """`paths` without leading slashes, none inside another; an empty one is everything."""
    reuse_freed_memory()
    return await _Restore(unlocked, destination, tell).run(paths)


@dataclass(frozen=True, slots=True)
class _Above:
    """Directories above a path, and what is to be done with their entries."""

    paths: Set[bytes]
    plan: Callable[[Entry], Iterable[Window]]

    def holds(self, entry: Entry) -> bool:
        return entry.path in self.paths and entry.kind == Kind.DIRECTORY and not entry.is_continuation


class _Restore:
    def __init__(self, unlocked: Unlocked, destination: Destination, tell: Tell) -> None:
        hash_key = file_hash_key(unlocked.id_key)
        # Two lists, because plan and writer run in different threads at the same time.
        self._planned, self._written = Missed(), Missed()
        self._unlocked = unlocked
        self._tell = tell
        root, overwrite, rights = destination.root, destination.overwrite, destination.rights
        self._rights = rights
        self._survey = Survey(root, overwrite, hash_key, rights)
        self._writer = TreeWriter(root, overwrite, hash_key, self._written, rights)
        self._names: LinkedNames | None = LinkedNames()
        self._budget = ByteBudget(destination.memory_budget_bytes)
        self._planner = Planner()
        self._above: set[bytes] = set()
        self._leading = _leading(unlocked.includes)
        self._left = 0
        self._spared_bytes = 0  # of what was planned: nothing is written for them
        self._is_last_written = False  # whether what continues the last entry is wanted
        self._manifest_damage: Damage = {}

    async def run(self, paths: Sequence[bytes]) -> Restored:
        try:
            await self._pass(self._plan, paths)
            unlinked, self._names = self._writer.unlinked, None
            if unlinked:
                await self._pass(self._plan_again, unlinked)
        finally:
            self._survey.close()
            with trio.CancelScope(shield=True):
                await compute(self._writer.close)
        await compute(self._writer.sync)
        return Restored(self._writer.files, self._writer.bytes, self._left, self._all_missed(), self._manifest_damage)

    async def _pass(self, plan: Plan, paths: Sequence[bytes]) -> None:
        to_writer, from_plan = trio.open_memory_channel[Window](_WINDOWS_AHEAD)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(plan, paths, to_writer, nursery)
            await self._write(from_plan)

    async def _plan_again(
        self, paths: Sequence[bytes], to_writer: trio.MemorySendChannel[Window], nursery: trio.Nursery
    ) -> None:
        """Names that could not be made further names of a file, as files of their own. What is above them gets its time
        again, where it was asked for or made.
        """
        with to_writer:
            with self._noting_damage():
                for path in paths:
                    parent = {path.rpartition(b"/")[0]}
                    is_asked = parent.isdisjoint(self._above | self._leading)
                    plan = self._planner.add if is_asked else self._planner.add_above
                    await self._plan_path(path, _Above(parent, plan), to_writer, nursery)
            await self._pass_on(self._planner.finish(), to_writer, nursery)

    async def _plan(
        self, paths: Sequence[bytes], to_writer: trio.MemorySendChannel[Window], nursery: trio.Nursery
    ) -> None:
        with to_writer:
            with self._noting_damage():
                for path in paths:
                    above = set(paths_above(path)) - self._above
                    if await self._plan_path(path, _Above(above, self._planner.add_above), to_writer, nursery):
                        self._above |= above
            if not self._manifest_damage and self._planned.codes[NOT_IN_SAFESET] == len(paths):
                raise _none_found(paths)
            await self._pass_on(self._planner.finish(), to_writer, nursery)

    @contextmanager
    def _noting_damage(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            self._manifest_damage[str(error)] = None

    async def _plan_path(
        self, path: bytes, above: _Above, to_writer: trio.MemorySendChannel[Window], nursery: trio.Nursery
    ) -> bool:
        """Whether anything came. The directories above come first then. One whose entry cannot be read stays closed
        to others; what is below it is restored.
        """
        directories: list[Entry] = []
        is_found = False
        async with aclosing(walk_safeset(self._unlocked, path, self._manifest_damage, above.paths)) as found:
            async for entries in found:
                inside = entries
                if not is_found:
                    directories += filter(above.holds, entries)
                    inside = [entry for entry in entries if entry.path not in above.paths]
                if not inside:
                    continue
                if not is_found:
                    is_found = True
                    if self._names is not None:  # later the writer has names of its own there
                        await compute(self._survey.clear_above, directories)
                    for window in chain.from_iterable(map(above.plan, directories)):
                        await self._pass_on(window, to_writer, nursery)
                await self._plan_entries(inside, to_writer, nursery)
        if not is_found:
            self._planned.add(path, NOT_IN_SAFESET)
        return is_found

    async def _plan_entries(
        self, entries: list[Entry], to_writer: trio.MemorySendChannel[Window], nursery: trio.Nursery
    ) -> None:
        decisions = await compute(self._survey.decide, entries)
        for entry, decision in zip(entries, decisions, strict=True):
            if entry.path in self._leading and entry.kind == Kind.DIRECTORY:
                windows = self._planner.add_above(entry)
            else:
                if not entry.is_continuation:
                    self._is_last_written = self._is_written(entry, decision)
                windows = self._steps_of(entry, decision)
            for window in windows:
                await self._pass_on(window, to_writer, nursery)

    def _steps_of(self, entry: Entry, decision: Decision) -> Iterator[Window]:
        """The windows that it fills. A name that stays is one that later ones may become further names of."""
        is_left = decision is Decision.leave
        is_named = self._is_last_written or is_left
        first = self._first_name(entry, is_named=is_named) if not entry.is_continuation else None
        if first is not None and self._is_last_written and self._writer.takes_no_links:
            self._planned.add(entry.path, NOT_LINKED)
            first = None
        if entry.kind == Kind.FILE and not entry.is_continuation and first is None:
            holes = (entry.extras or {}).get(Extra.HOLES, [])
            self._spared_bytes += sum(holes[1::2]) if self._is_last_written else entry.size
        if not self._is_last_written:
            if is_left and Extra.LINK_SET in (entry.extras or {}):
                self._planner.add_left(entry, first)
            return
        if first is not None:
            self._is_last_written = False  # nor is what continues it
            yield from self._planner.add_name(entry, first)
        else:
            yield from self._planner.add(entry)

    def _first_name(self, entry: Entry, *, is_named: bool) -> bytes | None:
        if self._names is None:
            return None
        if not is_named:
            self._names.keep_apart(entry)
            return None
        if self._names.is_apart(entry):
            self._planned.add(entry.path, NOT_LINKED)
        return self._names.first_name(entry)

    def _is_written(self, entry: Entry, decision: Decision) -> bool:
        extras = entry.extras or {}
        if entry.kind not in RESTORED_KINDS:
            self._planned.add(entry.path, left_out(entry) or "kind not restored")
            return False
        if entry.kind in DEVICES and not self._rights.is_privileged:
            self._planned.add(entry.path, DEVICE_LEFT_OUT)
            return False
        for code in flagged(entry):
            self._planned.add(entry.path, code)
        if extras.get(Extra.FLAGS, 0) & FLAG_NOT_READ:
            return False  # a file that is there may be good
        if decision in _WARNINGS:
            self._planned.add(entry.path, _WARNINGS[decision])
        if decision in (Decision.leave, Decision.newer):
            self._left += entry.kind == Kind.FILE
            if self._rights.leaves_out(entry):
                self._planned.add(entry.path, RIGHTS_LEFT_OUT)  # also where an earlier restore has left them out
        if decision is Decision.write:
            self._tell_left_out(entry)
        return decision is Decision.write

    def _tell_left_out(self, entry: Entry) -> None:
        """What of an entry that is written will not come back."""
        codes = []
        if has_streams(entry):
            codes.append("alternate streams not restored")
        if unknown := left_out(entry):
            codes.append(unknown)
        for code in codes:
            self._planned.add(entry.path, code)

    async def _pass_on(self, window: Window, to_writer: trio.MemorySendChannel[Window], nursery: trio.Nursery) -> None:
        await self._budget.take(window.fetched_bytes)
        nursery.start_soon(self._fetch, window)
        await to_writer.send(window)

    async def _fetch(self, window: Window) -> None:
        fetched: dict[bytes, Slot] = window.fetched

        def opened(id: bytes, content: bytes | IntegrityError) -> None:
            fetched[id].content = content

        if fetched:
            await self._unlocked.fetcher.fetch_chunks(list(fetched), opened)
        window.is_ready.set()

    async def _write(self, from_plan: trio.MemoryReceiveChannel[Window]) -> None:
        with from_plan:
            async for window in from_plan:
                await window.is_ready.wait()
                await compute(self._writer.write, window)
                await self._budget.give_back(window.fetched_bytes)
                self._tell(self._writer.files, self._writer.bytes_so_far + self._spared_bytes)

    def _all_missed(self) -> Missed:
        everything = Missed()
        for part in (self._planned, self._written):
            everything.codes.update(part.codes)
            everything.kept += part.kept
        return everything


def prepare_root(root: Path) -> None:
    """Makes the directory to restore into where it is missing, for this user alone whatever the umask is: owners of
    what comes into it may be numbers of somebody else here. Nothing in a safeset says what its mode should be.
    """
    try:
        missing = [path for path in root.parents if not path.exists()]
        for path in (*reversed(missing), root):
            path.mkdir(mode=_ROOT_MODE, exist_ok=True)
    except OSError as error:
        raise Failure("usage", f"target {root} cannot be made: {error.strerror}", "name another --target") from None


def _leading(includes: Sequence[bytes]) -> set[bytes]:
    """Directories that lead to an included path and lie in none: they are not the job's, so one that is there stays."""
    paths = [include.strip(b"/") for include in includes]
    above = {directory for path in paths for directory in paths_above(path)}
    return {directory for directory in above if not any(is_inside(directory, path) for path in paths)}


def _none_found(paths: Sequence[bytes]) -> Failure:
    first = f"/{escape_path(paths[0])}"
    told = f"{first} is not in the safeset"
    if len(paths) > 1:
        told = f"none of the {len(paths)} paths is in the safeset, the first one is {first}"
    shown = "paths are absolute, as `vault-agent ls` shows them; one with a \\ of its own needs --escaped"
    return Failure("not_found", told, f"it may be in an older one: --safeset N; {shown}")
