"""What goes wrong at a simulated disk, and at which call: the plan that a `SimulatedDoor` asks before each call.

A loop over all points of an operation:

    for n in itertools.count(1):
        faults = kill_before(n)
        run(SimulatedDoor(disk.copy(), faults))
        if not faults.fired:
            break  # the operation went through: every point was hit
"""

import errno
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from random import Random

CHANGES = frozenset({"pwrite", "fdatasync", "fsync_directory", "open_new", "rename", "unlink", "mkdir", "truncate"})
OPENS = frozenset({"open_new", "open_write", "open_read"})
READS = frozenset({"open_read", "read", "size", "listdir", "space"})
QUESTIONS = READS | {"exists", "open_write"}  # `exists` does not raise: it says no
ALL = CHANGES | QUESTIONS
WRITES = frozenset({"pwrite"})
SYNCS = frozenset({"fdatasync", "fsync_directory"})
TAKES_ROOM = frozenset({"pwrite", "fdatasync", "open_new", "mkdir", "rename"})


class Killed(BaseException):
    """The process ends here; every later call through the same door ends it again."""


class Kind(Enum):
    none = auto()
    fail = auto()  # an OSError, and nothing was done
    short = auto()  # of a write a part lands, then an OSError
    lose = auto()  # a sync fails, and the pages are marked clean: what was not synced is lost, though reads show it
    kill_before = auto()
    kill_after = auto()
    tear = auto()  # of a write a part lands, then the process ends; after any other call


@dataclass
class Faults:
    """The `at`-th call among `names` (and below `under`) goes wrong; with `lasting` all from there on."""

    kind: Kind = Kind.none
    at: int = 0
    number: int = errno.EIO
    lasting: bool = False
    names: frozenset[str] = CHANGES
    under: Path | None = None
    rng: Random = field(default_factory=lambda: Random(0))
    count: int = 0
    hits: list[str] = field(default_factory=list)  # the calls that went wrong

    @property
    def fired(self) -> bool:
        return bool(self.hits)

    def next(self, name: str, path: Path) -> Kind:
        if name not in self.names or (self.under and not path.is_relative_to(self.under)):
            return Kind.none
        self.count += 1
        if self.kind is Kind.none or self.count < self.at or (self.count > self.at and not self.lasting):
            return Kind.none
        self.hits.append(f"{name} {path.name}")
        return self.kind

    def error(self, path: Path) -> OSError:
        return OSError(self.number, "told to fail", str(path))


def no_faults() -> Faults:
    """Only counts."""
    return Faults()


def fail(at: int, number: int = errno.EIO, *, lasting: bool = False, names: frozenset[str] = CHANGES) -> Faults:
    return Faults(Kind.fail, at, number, lasting, names)


def short_write(at: int, number: int = errno.ENOSPC, seed: int = 0) -> Faults:
    return Faults(Kind.short, at, number, names=WRITES, rng=Random(seed))


def lose_sync(at: int) -> Faults:
    """Once; the next sync of the same file succeeds, and has nothing to do."""
    return Faults(Kind.lose, at, names=frozenset({"fdatasync"}))


def kill_before(at: int, names: frozenset[str] = CHANGES) -> Faults:
    return Faults(Kind.kill_before, at, lasting=True, names=names)


def kill_after(at: int, names: frozenset[str] = CHANGES) -> Faults:
    return Faults(Kind.kill_after, at, lasting=True, names=names)


def tear(at: int, seed: int = 0) -> Faults:
    return Faults(Kind.tear, at, lasting=True, rng=Random(seed))
