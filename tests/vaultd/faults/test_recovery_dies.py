"""Opening is the operation that everything else stands on: it may die at every call, again when it is tried again, and
a third time; and the disks may fail it at every call, also at those that only look.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from itertools import count
from random import Random

import pytest

from tests.support.acknowledged import Acknowledged
from tests.support.disk_faults import (
    ALL,
    CHANGES,
    OPENS,
    Faults,
    Killed,
    fail,
    kill_after,
    kill_before,
    lose_sync,
    no_faults,
    tear,
)
from tests.support.simulated_disk import SimulatedDisk
from tests.support.simulated_door import SimulatedDoor
from tests.support.simulated_vault import SimulatedVault, State
from tests.vaultd.faults.operations import Base, Operation, beginning, opening_account, uploading
from tests.vaultd.faults.points import POINTS_MAX, stand_up, told
from vaultd.errors import VaultError
from vaultd.operations.disks import declare_lost
from vaultd.operations.vault import close_vault
from vaultd.store.disks import NEW_NAME
from vaultd.store.errors import StoreError

DEPTH = 3


@dataclass
class Fallen:
    """A stopped vault that has much to recover, what it acknowledged, and the upload that broke off."""

    state: State
    model: Acknowledged
    operation: Operation


def fallen(world: SimulatedVault, base: Base, faults: Faults, seed: int | None, images: tuple[str, ...] = ()) -> Fallen:
    """Fallen in an upload that fills a container; with a seed by a power loss."""
    operation = uploading(base.backed_up, *base.seal(20_000, 20_000, 20_000, 20_000, 20_000))
    world.restore(base.state)
    world.start()
    model = base.model.copy()
    world.door.faults = faults
    with pytest.raises((Killed, VaultError)):
        operation(world, model)
    if seed is not None:
        world.lose_power(Random(seed), images)
    return Fallen(world.save(), model, operation)


def other_disk(world: SimulatedVault) -> int:
    """The disk without containers."""
    held = [any(path.suffix == ".container" for path in disk.files()) for disk in world.disks]
    return held.index(False)


def new_disk(world: SimulatedVault, base: Base) -> Fallen:
    """An empty directory stands in for a disk that was declared lost, and the operator said that it may: so also where
    index and catalog are lost on the way.
    """
    world.restore(base.state)
    place = other_disk(world)
    world.disks[place].is_away = True
    world.start()
    declare_lost(world.vault, base.administrator, str(place))
    close_vault(world.vault)
    world.disks[place] = SimulatedDisk(world.disks[place].root)
    mark = world.disks[place].root / NEW_NAME
    door = SimulatedDoor(world.disks)
    door.close(door.open_new(mark))
    door.fsync_directory(mark.parent)
    return Fallen(world.save(), base.model, uploading(base.backed_up, *base.seal(3000)))


def came_back(world: SimulatedVault, base: Base) -> Fallen:
    """A disk was away while the vault went on, and knows less than the other one."""
    world.restore(base.state)
    model = base.model.copy()
    away = world.disks[other_disk(world)]
    away.is_away = True
    world.start()
    uploading(base.backed_up, *base.seal(3000))(world, model)
    beginning(replace(base.backed_up, sealer=copy(base.backed_up.sealer)))(world, model)
    away.is_away = False
    # The run that has begun meanwhile ended the other one: nothing more is uploaded in that.
    return Fallen(world.save(), model, opening_account(base.administrator, "other"))


STATES: dict[str, Callable[[SimulatedVault, Base], Fallen]] = {
    "killed-at-the-journal": lambda world, base: fallen(world, base, kill_after(17), None),
    "power-lost-index-and-catalog-current": lambda world, base: fallen(world, base, kill_after(18), 1, ("current",)),
    "power-lost-index-and-catalog-earlier": lambda world, base: fallen(world, base, kill_after(16), 3, ("earlier",)),
    "power-lost-index-and-catalog-gone": lambda world, base: fallen(world, base, kill_after(15), 4, ("missing",)),
    "a-sync-of-the-journal-failed-and-lost": lambda world, base: fallen(world, base, lose_sync(7), None),
    "a-disk-is-new": new_disk,
    "a-disk-was-away": came_back,
}


@dataclass(frozen=True)
class Plan:
    make: Callable[[int], Faults]
    loses_power: bool = False
    step: int = 1


PLANS = {
    "kill-before": Plan(kill_before),
    "kill-after": Plan(kill_after),
    "torn-write": Plan(lambda n: tear(n, seed=n)),
    "power-loss": Plan(kill_after, loses_power=True),
    "EIO-once-also-of-reads": Plan(lambda n: fail(n, names=ALL), step=7),
    "EIO-from-then-on-also-of-reads": Plan(lambda n: fail(n, names=ALL, lasting=True), step=11),
    "EMFILE-once": Plan(lambda n: fail(n, 24, names=OPENS), step=5),
    "sync-fails-once-and-loses": Plan(lose_sync),
    "sync-fails-once-and-loses-then-power": Plan(lose_sync, loses_power=True),
}


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", STATES)
def test_opening_loses_nothing(world: SimulatedVault, base: Base, name: str, plan: str) -> None:
    case = STATES[name](world, base)
    way = PLANS[plan]
    for n in count(1 + list(STATES).index(name) % way.step, way.step):
        assert n < POINTS_MAX
        faults = way.make(n)
        with told(f"point {n}", faults):
            world.restore(case.state)
            model = case.model.copy()
            open_and_use(world, model, case.operation, faults)
            if way.loses_power:
                world.lose_power(Random(n))
            stand_up_for_good(world, model, case.operation, Random(n))
        if not faults.fired:
            break
    print(f"{name}, {plan}: {n - way.step} points")
    assert n > (18 if faults.names == CHANGES else 3)


def test_recovery_dies_three_deep(world: SimulatedVault, base: Base) -> None:
    for name, make in STATES.items():
        case = make(world, base)
        counted = no_faults()
        world.restore(case.state)
        world.start(counted)
        assert counted.count >= 16
        for n in range(1, counted.count + 1):
            for seed in range(2):
                rng = Random(f"{name} {n} {seed}")
                world.restore(case.state)
                faults = kill_after(n)
                with told(f"{name}: point {n} seed {seed}", faults):
                    for _ in range(DEPTH):
                        with pytest.raises(Killed):
                            world.start(faults)
                        if seed:
                            world.lose_power(rng)
                        faults = kill_after(rng.randint(1, 8))
                    stand_up_for_good(world, case.model.copy(), case.operation, rng)


def open_and_use(world: SimulatedVault, model: Acknowledged, operation: Operation, faults: Faults) -> None:
    """Where the vault starts in spite of the fault, it is used: what it acknowledges then must stay too."""
    try:
        world.start(faults)
        operation(world, model)
    except (Killed, VaultError, StoreError, OSError):
        pass


def stand_up_for_good(world: SimulatedVault, model: Acknowledged, operation: Operation, rng: Random) -> None:
    stand_up(world, model)
    operation(world, model)
    model.judge(world.vault)
    world.lose_power(rng)
    stand_up(world, model)
