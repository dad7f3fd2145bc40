"""One simulated vault for all loops of a module, with LMDB in memory where the system has a place for that."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.simulated_vault import SimulatedVault
from tests.vaultd.faults.operations import Base, make_base

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def world() -> Iterator[SimulatedVault]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        with SimulatedVault.make(Path(directory)) as world:
            yield world


@pytest.fixture(scope="module")
def base(world: SimulatedVault) -> Base:
    return make_base(world)
