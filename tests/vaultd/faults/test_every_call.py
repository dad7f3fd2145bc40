"""Invariants 1 to 6 at every call: whatever goes wrong at whichever call, what was acknowledged stays, what was not is
absent or right, and the vault starts again and goes on.
"""

import os
from copy import copy
from dataclasses import replace

import pytest
from blake3 import blake3

from tests.support.disk_faults import CHANGES
from tests.support.simulated_vault import SimulatedVault
from tests.vaultd.faults.operations import (
    Base,
    Operation,
    beginning,
    changing_slots,
    checkpoint,
    closing,
    committing,
    creating,
    ending,
    keyring_for,
    opening_account,
    rotating,
    uploading,
)
from tests.vaultd.faults.points import PLANS, every_point
from tests.vaultd.operations.sealing import DATA
from tests.vaultd.operations.small_site import new_job


def new_and_duplicate(base: Base) -> Operation:
    """Chunks that are here already, sealed again under another run's key, and one that comes twice."""
    twice = os.urandom(900)
    first, second, *again = [base.backed_up.sealer.record(DATA, data) for data in (twice, twice, *base.plaintexts)]
    return uploading(base.backed_up, first, *base.seal(100, 9000), repeated=[second, *again])


def roll_over(base: Base) -> Operation:
    return uploading(base.backed_up, *base.seal(20_000, 20_000, 20_000, 20_000, 20_000))


def commit(base: Base) -> Operation:
    return committing(base.backed_up, base.chunks[:2], 2, blake3(base.root).digest())


OPERATIONS = {
    "new-and-duplicate-chunks": new_and_duplicate,
    "container-roll-over": roll_over,
    "safeset-commit": commit,
    "job-creation": lambda base: creating(base.administrator, new_job(base.backed_up.agent, "music")),
    "keyring-and-slots": keyring_for,
    "other-slots": changing_slots,
    "rotation": rotating,
    "run-and-run-key": lambda base: beginning(replace(base.backed_up, sealer=copy(base.backed_up.sealer))),
    "end-of-a-run": lambda base: ending(base.backed_up),
    "account": lambda base: opening_account(base.administrator, "other"),
    "checkpoint": lambda base: checkpoint,
}
# So many calls change the disks at least: a loop that became empty would pass for ever.
CHANGES_MIN = {
    "new-and-duplicate-chunks": 6,
    "container-roll-over": 18,
    "safeset-commit": 12,
    "job-creation": 12,
    "keyring-and-slots": 20,
    "other-slots": 12,
    "rotation": 12,
    "run-and-run-key": 8,
    "end-of-a-run": 4,
    "account": 4,
    "checkpoint": 14,
    "closing": 26,
}


def floor(name: str, plan: str) -> int:
    """Some plans count only some kinds of calls; every operation writes and syncs both copies of something."""
    if PLANS[plan].make(1).names == CHANGES:
        return CHANGES_MIN[name]
    return 0 if plan == "EMFILE-once" else 2


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_nothing_acknowledged_is_lost(world: SimulatedVault, base: Base, name: str, plan: str) -> None:
    points = every_point(world, base, OPERATIONS[name](base), PLANS[plan])
    print(f"{name}, {plan}: {points} points")
    assert points >= floor(name, plan)


@pytest.mark.parametrize("plan", PLANS)
def test_closing_loses_nothing(world: SimulatedVault, base: Base, plan: str) -> None:
    points = every_point(world, base, closing, PLANS[plan], ends=True)
    print(f"closing, {plan}: {points} points")
    assert points >= floor("closing", plan)
