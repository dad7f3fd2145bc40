"""The journal begins a new segment at every call of an operation, and a vault with a long journal in short segments
opens at every call.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.simulated_vault import SimulatedVault
from tests.vaultd.faults.conftest import MEMORY
from tests.vaultd.faults.operations import Base, keyring_for, make_base
from tests.vaultd.faults.points import PLANS, every_point

SEGMENT_BYTES = 4096
PLANS_TRIED = (
    "kill-before",
    "kill-after",
    "torn-write",
    "power-loss",
    "EIO-once",
    "sync-fails-once",
    "sync-fails-once-and-loses",
    "sync-fails-once-and-loses-then-power",
)


@pytest.fixture(scope="module")
def short_segments() -> Iterator[SimulatedVault]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        with SimulatedVault.make(Path(directory), journal_segment_bytes=SEGMENT_BYTES) as world:
            yield world


@pytest.fixture(scope="module")
def long_base(short_segments: SimulatedVault) -> Base:
    return make_base(short_segments)


def segments(world: SimulatedVault) -> int:
    return sum(path.suffix == ".journal" for path in world.disks[0].files())


@pytest.mark.parametrize("plan", PLANS_TRIED)
def test_a_new_segment_loses_nothing(short_segments: SimulatedVault, long_base: Base, plan: str) -> None:
    short_segments.restore(long_base.state)
    assert segments(short_segments) > 3
    before = segments(short_segments)
    points = every_point(short_segments, long_base, keyring_for(long_base), PLANS[plan])
    assert segments(short_segments) > before
    print(f"a new segment, {plan}: {points} points")
    assert points >= 4
