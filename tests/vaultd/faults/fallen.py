"""Stopped vaults that have much to recover, each with what it acknowledged and what a client wants of it next."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from random import Random

import pytest

from tests.support.acknowledged import Acknowledged
from tests.support.disk_faults import Faults, Killed, kill_after, lose_sync
from tests.support.simulated_disk import SimulatedDisk
from tests.support.simulated_door import SimulatedDoor
from tests.support.simulated_vault import SimulatedVault, State
from tests.vaultd.faults.operations import Base, Operation, beginning, opening_account, uploading
from tests.vaultd.faults.points import stand_up
from vaultd.errors import VaultError
from vaultd.operations.disks import declare_lost
from vaultd.operations.vault import close_vault
from vaultd.store.disks.opening import NEW_NAME


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


def stand_up_for_good(world: SimulatedVault, model: Acknowledged, operation: Operation, rng: Random) -> None:
    stand_up(world, model)
    operation(world, model)
    model.judge(world.vault)
    world.lose_power(rng)
    stand_up(world, model)
