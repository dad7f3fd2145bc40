"""What kills at each step leave of a vault: its directory is copied between any two calls that change the disks, in the
middle of each write, and around each transaction of index and catalog.

A kill leaves what was written, synced or not: a call that only syncs changes nothing of it. So each copy is what is
there after `kill -9` at that moment, and one history gives all of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.vaultd.operations.collected_site import Collected
from tests.vaultd.operations.small_site import Site
from tests.vaultd.store.fakes import CHANGES, WrappedDoor
from vaultd.config import make_config
from vaultd.image.environment import Environment
from vaultd.operations.vault import open_vault
from vaultd.store.disk_door import SystemDoor

SYNCS = {"fdatasync", "fsync_directory"}


@dataclass
class Acknowledged:
    """By numbers of safesets: those that must be restored, and those that nobody can bring back any more. `told`: ids
    that the run which goes on was told are there. `is_moving`: records may lie at two places.
    """

    standing: set[int] = field(default_factory=set)
    purged: set[int] = field(default_factory=set)
    told: set[bytes] = field(default_factory=set)
    is_moving: bool = False

    def now(self) -> Acknowledged:
        return Acknowledged(set(self.standing), set(self.purged), set(self.told), self.is_moving)


@dataclass
class Killed:
    """At one moment; `place` says which."""

    place: str
    directory: Path
    time_ns: int
    acknowledged: Acknowledged

    def start(self, one: Collected) -> Collected:
        """The same job in a vault that was opened from what is left."""
        config = make_config(self.directory / "vault", {"disks": [path.name for path in one.site.config.disks]})
        clock = copy(one.site.clock)
        clock.time_ns = self.time_ns
        site = Site(config, clock, one.site.made, open_vault(config, clock, SystemDoor()))
        return Collected(site, one.owner, one.job, one.name, one.roots, one.used, one.stored)


class Kills:
    def __init__(self, root: Path) -> None:
        self.killed: list[Killed] = []
        self.versions: dict[bytes, set[bytes]] = {}  # by id, all records that were ever stored
        self._root = root
        self._watched: Collected | None = None
        self._acknowledged = Acknowledged()
        self._is_changed = True  # what is on the disks, since the last one

    @contextmanager
    def watching(self, one: Collected, acknowledged: Acknowledged) -> Iterator[None]:
        self._watched, self._acknowledged = one, acknowledged
        write = Environment.write

        def written(environment: Environment, work: Callable[[Any], None]) -> None:
            self.moment("before a transaction")
            write(environment, work)
            self.changed()
            self.moment("after a transaction")

        with patch.object(Environment, "write", written):
            yield
        self.moment("at the end")
        self._watched = None

    def changed(self) -> None:
        self._is_changed = True

    def moment(self, place: str) -> None:
        """Unless it is as the last one."""
        one = self._watched
        if one is None or (not self._is_changed and self.killed[-1].acknowledged == self._acknowledged):
            return
        self._is_changed = False
        for id_, record in one.stored.items():
            self.versions.setdefault(id_, set()).add(record)
        directory = self._root / f"killed-{len(self.killed)}"
        shutil.copytree(one.site.config.directory, directory / "vault", ignore=shutil.ignore_patterns("lock.mdb"))
        self.killed.append(Killed(place, directory, one.site.clock.time_ns, self._acknowledged.now()))


class KillsDoor(WrappedDoor):
    def __init__(self, kills: Kills) -> None:
        self._kills = kills

    def around(self, name: str, call: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if name in CHANGES - SYNCS:
            self._kills.moment(f"before {name}")
        if name == "pwrite":
            handle, view, offset = arguments
            with handle.path.open("r+b") as file:
                file.seek(offset)
                file.write(bytes(view[: len(view) // 2]))
            self._kills.changed()
            self._kills.moment("in the middle of a write")
        result = call(*arguments, **named)
        if name in CHANGES - SYNCS:
            self._kills.changed()
        return result
