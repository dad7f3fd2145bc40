"""Opening is the operation that everything else stands on: it may die at every call, again when it is tried again, and
a third time; and the disks may fail it at every call, also at those that only look.
"""

from collections.abc import Callable
from dataclasses import dataclass
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
from tests.support.simulated_vault import SimulatedVault
from tests.vaultd.faults.fallen import STATES, stand_up_for_good
from tests.vaultd.faults.operations import Base, Operation
from tests.vaultd.faults.points import POINTS_MAX, told
from vaultd.errors import VaultError
from vaultd.store.errors import StoreError

DEPTH = 3


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
