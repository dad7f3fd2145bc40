"""Simulated power losses, one for each seed: a scenario falls at a chosen call, once more or twice in the recovery, and
what the vault then shows is held against the model.

The same seed gives the same bytes: also what the code under test draws comes from it.
"""

from __future__ import annotations

import os
import signal
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing import active_children, get_context
from pathlib import Path
from random import Random
from unittest.mock import patch

from tests.support.disk_faults import Faults, Killed, kill_after, kill_before, lose_sync, no_faults, tear
from tests.support.simulated_vault import SimulatedVault
from tests.torture.scenario import Ground, Scenario, make_ground
from tests.vaultd.faults.operations import Operation
from vaultd.errors import VaultError
from vaultd.store.errors import StoreError

_MEMORY = Path("/dev/shm")
_BLOCK_SEEDS = 50  # some seconds: as often is told how far it is
_SEGMENT_BYTES = 8 * 1024  # some steps fill one
_STEPS = (1, 6)
_CALLS_OF_A_STEP = 9  # about; a scenario that ends before its call falls at its end
_OPENING_CALLS = 14
_FALLS_IN_RECOVERY = (0, 0, 1, 2)
_FAULTS: list[Callable[[int, int], Faults]] = [
    lambda n, seed: kill_after(n),
    lambda n, seed: kill_after(n),
    lambda n, seed: kill_before(n),
    lambda n, seed: tear(n, seed),
    lambda n, seed: lose_sync(1 + n // 3),
]
_SHOWN_CHARACTERS = 2000
_KILL_ONLY = 0.15  # of the falls: the process ends and the machine goes on


@dataclass
class LossFigures:
    """`points` are the calls that were the last ones: step, position in it, call and kind of file. `seeds_by_falls` has
    how many seeds fell once, twice, three times.
    """

    seeds: int = 0
    falls: int = 0
    points: set[str] = field(default_factory=set)
    seeds_by_falls: Counter[int] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)

    def add(self, other: LossFigures) -> None:
        self.seeds += other.seeds
        self.falls += other.falls
        self.points |= other.points
        self.seeds_by_falls += other.seeds_by_falls
        self.failures |= other.failures


def lose_often(count: int, first: int, workers: int, tell: Callable[[LossFigures], None]) -> LossFigures:
    """Seeds `first` and the `count - 1` after it. Nothing is left behind, also where it is broken off."""
    figures = LossFigures()
    blocks = [(start, min(start + _BLOCK_SEEDS, first + count)) for start in range(first, first + count, _BLOCK_SEEDS)]
    with (
        tempfile.TemporaryDirectory(prefix="safeset-torture-", dir=_memory()) as directory,
        closing(_blocks_lost(blocks, workers, Path(directory))) as blocks_lost,
    ):
        for found in blocks_lost:
            figures.add(found)
            tell(figures)
    return figures


def _blocks_lost(blocks: list[tuple[int, int]], workers: int, parent: Path) -> Generator[LossFigures, None, None]:
    if workers < 2 or len(blocks) < 2:
        for start, end in blocks:
            yield lose_block(start, end, parent)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_leave_interrupts_to_the_parent) as pool:
        try:
            yield from pool.map(lose_block, *zip(*blocks, strict=True), [parent] * len(blocks))
        except BaseException:
            for worker in active_children():
                worker.terminate()
            raise


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def lose_block(start: int, end: int, parent: Path | None = None) -> LossFigures:
    """Seeds `start` to `end - 1`; a seed gives the same in every block."""
    figures = LossFigures()
    with (
        tempfile.TemporaryDirectory(prefix="safeset-torture-", dir=parent or _memory()) as directory,
        _drawn_from("ground"),
    ):
        with SimulatedVault.make(Path(directory), journal_segment_bytes=_SEGMENT_BYTES) as world:
            ground = make_ground(world)
            for seed in range(start, end):
                _lose(world, ground, seed, figures)
    return figures


def _memory() -> Path | None:
    return _MEMORY if _MEMORY.is_dir() else None


def _lose(world: SimulatedVault, ground: Ground, seed: int, figures: LossFigures) -> None:
    figures.seeds += 1
    before = figures.falls
    try:
        with _drawn_from(seed):
            _Fall(world, ground, Random(seed), figures).run()
    except Exception as error:
        last = "".join(traceback.format_tb(error.__traceback__)[-2:])
        figures.failures[seed] = f"{type(error).__name__}: {str(error)[:_SHOWN_CHARACTERS]}\n{last}"
    figures.seeds_by_falls[figures.falls - before] += 1


@contextmanager
def _drawn_from(seed: object) -> Iterator[None]:
    source = Random(f"drawn {seed}")
    with patch.object(os, "urandom", source.randbytes):
        yield


class _Fall:
    """Of one seed."""

    def __init__(self, world: SimulatedVault, ground: Ground, rng: Random, figures: LossFigures) -> None:
        self._world = world
        self._rng = rng
        self._figures = figures
        self._model = ground.model.copy()
        self._scenario = Scenario(ground, self._model, rng)
        world.restore(ground.state)
        world.start()

    def run(self) -> None:
        world, model, rng = self._world, self._model, self._rng
        broken_off = self._until_it_falls()
        self._end_process()
        for _ in range(rng.choice(_FALLS_IN_RECOVERY)):
            self._fall_in_recovery()
        self._stand_up()
        if broken_off is not None:
            broken_off(world, model)  # the client tries again
        self._scenario.next()[1](world, model)
        model.judge(world.vault)
        world.lose_power(rng)
        self._stand_up()

    def _until_it_falls(self) -> Operation | None:
        """The step that was broken off."""
        world, rng = self._world, self._rng
        steps = rng.randint(*_STEPS)
        at = rng.randint(1, steps * _CALLS_OF_A_STEP)
        faults = world.door.faults = rng.choice(_FAULTS)(at, rng.randrange(1 << 30))
        for _ in range(steps):
            name, operation = self._scenario.next()
            before = faults.count
            try:
                operation(world, self._model)
            except Killed:
                self._note(name, faults, before)
                return operation
            except (VaultError, StoreError, OSError):
                if not faults.fired:
                    raise
                self._note(name, faults, before)
                return operation
        return None

    def _fall_in_recovery(self) -> None:
        faults = self._rng.choice((kill_after, kill_before, tear))(self._rng.randint(1, _OPENING_CALLS))
        try:
            self._world.start(faults)
        except Killed:
            self._note("opening", faults, 0)
        self._end_process()

    def _end_process(self) -> None:
        self._figures.falls += 1
        if self._rng.random() < _KILL_ONLY:
            self._world.kill()
        else:
            self._world.lose_power(self._rng)

    def _stand_up(self) -> None:
        self._world.kill()
        self._world.start(no_faults())
        self._model.judge(self._world.vault)

    def _note(self, step: str, faults: Faults, before: int) -> None:
        call, _, name = faults.hits[0].partition(" ")
        kind = name.removesuffix(".tmp").rpartition(".")[2] if "." in name else "directory"
        self._figures.points.add(f"{step}, call {faults.count - before}: {call} {kind}")
