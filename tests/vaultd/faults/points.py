"""Loops over every point of an operation: what goes wrong there, how the vault falls, and that it stands up again.

After each fall: what was acknowledged is there byte for byte, what was not is absent or right, the client's second try
goes through, and a power cut after that takes nothing more.
"""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from random import Random

from tests.support.acknowledged import Acknowledged
from tests.support.disk_faults import (
    OPENS,
    SYNCS,
    TAKES_ROOM,
    Faults,
    Killed,
    fail,
    kill_after,
    kill_before,
    lose_sync,
    no_faults,
    short_write,
    tear,
)
from tests.support.simulated_vault import SimulatedVault
from tests.vaultd.faults.operations import Base, Operation
from vaultd.errors import VaultError
from vaultd.store.errors import StoreError

POINTS_MAX = 500


@dataclass(frozen=True)
class Plan:
    """What goes wrong at the n-th call, and whether the machine loses its power then or the process only ends."""

    make: Callable[[int], Faults]
    loses_power: bool = False
    seeds: int = 1
    falls_again: bool = True  # with a power cut, after it stood up


PLANS = {
    "kill-before": Plan(kill_before),
    "kill-after": Plan(kill_after),
    "torn-write": Plan(lambda n: tear(n, seed=n)),
    "power-loss": Plan(kill_after, loses_power=True, seeds=3),
    "EIO-once": Plan(fail),
    "EIO-from-then-on": Plan(lambda n: fail(n, lasting=True), falls_again=False),
    "ENOSPC-once": Plan(lambda n: fail(n, errno.ENOSPC), falls_again=False),
    "EDQUOT-from-then-on": Plan(lambda n: fail(n, errno.EDQUOT, lasting=True, names=TAKES_ROOM), falls_again=False),
    "EROFS-from-then-on": Plan(lambda n: fail(n, errno.EROFS, lasting=True), falls_again=False),
    "EMFILE-once": Plan(lambda n: fail(n, errno.EMFILE, names=OPENS), falls_again=False),
    "short-write": Plan(lambda n: short_write(n, seed=n)),
    "sync-fails-once": Plan(lambda n: fail(n, names=SYNCS), loses_power=True),
    "sync-fails-once-and-loses": Plan(lose_sync),
    "sync-fails-once-and-loses-then-power": Plan(lose_sync, loses_power=True),
}


def every_point(world: SimulatedVault, base: Base, operation: Operation, plan: Plan, *, ends: bool = False) -> int:
    """How many calls there were. `ends`: the operation leaves no running vault where it fails."""
    for n in count(1):
        assert n < POINTS_MAX
        for seed in range(plan.seeds):
            faults = plan.make(n)
            with told(f"point {n} seed {seed}", faults):
                fall(world, base, operation, faults, Random(n * 1000 + seed), plan, ends=ends)
        if not faults.fired:
            return n - 1
    raise AssertionError


def fall(
    world: SimulatedVault, base: Base, operation: Operation, faults: Faults, rng: Random, plan: Plan, *, ends: bool
) -> None:
    world.restore(base.state)
    world.start()
    model = base.model.copy()
    world.door.faults = faults
    try:
        operation(world, model)
    except Killed:
        pass
    except (VaultError, StoreError, OSError):
        if not ends:
            go_on(world, model, operation, faults)
    if plan.loses_power:
        world.lose_power(rng)
    stand_up(world, model)
    operation(world, model)
    model.judge(world.vault)
    if plan.falls_again:
        world.lose_power(rng)
        stand_up(world, model)


def go_on(world: SimulatedVault, model: Acknowledged, operation: Operation, faults: Faults) -> None:
    """After an error the vault either serves on or has stopped writing; reading goes on in both cases."""
    model.judge(world.vault)
    if faults.lasting:
        return
    world.door.faults = no_faults()
    if world.vault.store.is_broken:
        with refused():
            operation(world, model)
    else:
        operation(world, model)
    model.judge(world.vault)


@contextmanager
def refused() -> Iterator[None]:
    try:
        yield
    except (VaultError, StoreError):
        return
    raise AssertionError("a store that stopped took something")


def stand_up(world: SimulatedVault, model: Acknowledged) -> None:
    world.kill()
    world.start()
    model.judge(world.vault)


@contextmanager
def told(point: str, faults: Faults) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        error.add_note(f"{point}: {faults.hits[:1]}")
        raise
