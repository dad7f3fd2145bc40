"""Simulated power losses, one for each seed: a scenario falls at a chosen call, once more or twice in the recovery, and
what the vault then shows is held against the model.

The same seed gives the same bytes: also what the code under test draws comes from it.
"""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
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
_BLOCK_SEEDS = 250
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
_KILL_ONLY = 0.15  # of the falls: the process ends and the machine goes on


@dataclass
class LossFigures:
    """`points` are the calls that were the last ones: step, position in it, call and kind of file."""

    seeds: int = 0
    falls: int = 0
    points: set[str] = field(default_factory=set)
    failures: dict[int, str] = field(default_factory=dict)

    def add(self, other: LossFigures) -> None:
        self.seeds += other.seeds
        self.falls += other.falls
        self.points |= other.points
        self.failures |= other.failures


def lose_often(count: int, first: int, workers: int, tell: Callable[[LossFigures], None]) -> LossFigures:
    """Seeds `first` and the `count - 1` after it."""
    figures = LossFigures()
    blocks = [(start, min(start + _BLOCK_SEEDS, first + count)) for start in range(first, first + count, _BLOCK_SEEDS)]
    if workers < 2 or len(blocks) < 2:
        for block in blocks:
            figures.add(lose_block(*block))
        return figures
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for found in pool.map(lose_block, *zip(*blocks, strict=True)):
            figures.add(found)
            tell(figures)
    return figures


def lose_block(start: int, end: int) -> LossFigures:
    figures = LossFigures()
    memory = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="safeset-torture-", dir=memory) as directory, _drawn_from("ground"):
        with SimulatedVault.make(Path(directory), journal_segment_bytes=_SEGMENT_BYTES) as world:
            ground = make_ground(world)
            for seed in range(start, end):
                _lose(world, ground, seed, figures)
    return figures


def _lose(world: SimulatedVault, ground: Ground, seed: int, figures: LossFigures) -> None:
    figures.seeds += 1
    try:
        with _drawn_from(seed):
            _Fall(world, ground, Random(seed), figures).run()
    except Exception as error:
        last = "".join(traceback.format_tb(error.__traceback__)[-2:])
        figures.failures[seed] = f"{type(error).__name__}: {error}\n{last}"


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
