"""A start on disks that are full or read-only: it goes through, or it is refused with one sentence that names the path
and says what to do; and the first start after that leaves nothing half done.
"""

import errno
from collections.abc import Callable
from itertools import count
from random import Random

import pytest

from tests.support.disk_faults import CHANGES, TAKES_ROOM, Faults, fail
from tests.support.simulated_disk import SimulatedDisk
from tests.support.simulated_vault import SimulatedVault
from tests.vaultd.faults.fallen import STATES, stand_up_for_good
from tests.vaultd.faults.operations import Base
from tests.vaultd.faults.points import POINTS_MAX, stand_up, told
from vaultd.errors import NoSpace, VaultError

NEEDS_ROOM = TAKES_ROOM | {"fsync_directory"}
WRITES = CHANGES | {"open_write"}
IMAGES = ("current", "earlier", "missing")  # one that is torn is told at every start
# An empty directory that was to stand in for a lost disk is no disk yet.
ANOTHER = "cannot become a disk"

WAYS: dict[str, Callable[[int], Faults]] = {
    "ENOSPC-once": lambda n: fail(n, errno.ENOSPC, names=NEEDS_ROOM),
    "EDQUOT-from-then-on": lambda n: fail(n, errno.EDQUOT, names=NEEDS_ROOM, lasting=True),
    "EROFS-once": lambda n: fail(n, errno.EROFS, names=WRITES),
    "EROFS-from-then-on": lambda n: fail(n, errno.EROFS, names=WRITES, lasting=True),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", STATES)
def test_a_start_on_a_full_or_read_only_disk_goes_through_or_says_what_to_do(
    world: SimulatedVault, base: Base, name: str, way: str
) -> None:
    case = STATES[name](world, base)
    refused = 0
    for n in count(1):
        assert n < POINTS_MAX
        faults = WAYS[way](n)
        with told(f"point {n}", faults):
            world.restore(case.state)
            model = case.model.copy()
            try:
                world.start(faults)
                model.judge(world.vault)
            except VaultError as error:
                judge_sentence(world, error, faults)
                refused += 1
            if n % 3 == 0:
                world.lose_power(Random(n), IMAGES)
            stand_up(world, model)
            judge_disks(world)
            stand_up_for_good(world, model, case.operation, Random(n))
        if not faults.fired:
            break
    assert 0 < refused < n


def judge_sentence(world: SimulatedVault, error: VaultError, faults: Faults) -> None:
    sentence = error.message
    assert any(str(disk.root) in sentence for disk in world.disks), sentence
    if ANOTHER in sentence:
        assert "; take another one" in sentence
    elif faults.number == errno.EROFS:
        assert ("read-only" in sentence and "copy it to another disk" in sentence) or "look at the disk" in error.hint
    else:
        assert isinstance(error, NoSpace)
        assert "is full" in sentence
        assert "free space" in sentence


def judge_disks(world: SimulatedVault) -> None:
    """Of a vault that started without a fault: every copy is whole, and nothing unfinished lies about."""
    assert [path for disk in world.disks for path in disk.files() if path.suffix == ".tmp"] == []
    for suffix in (".journal", ".key"):
        first, second = (held(disk, suffix) for disk in world.disks)
        assert first == second
    world.reopen()
    assert world.vault.recovery.findings == []


def held(disk: SimulatedDisk, suffix: str) -> dict[str, bytes]:
    return {path.name: bytes(file.live) for path, file in disk.files().items() if path.suffix == suffix}
