"""A container that is moved to another one while the scrub reads it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.vaultd.operations.collected_site import Collected, make_collected
from tests.vaultd.operations.small_site import Site
from vaultd.maintenance.collection import collect_once
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor

MIB = 1 << 20


@pytest.fixture
def collected(site: Site) -> Collected:
    """Container 1 has a record that is needed, and more dead ones than one piece of a scrub."""
    close_vault(site.vault)
    site.config = replace(site.config, container_bytes=16 * MIB, collect_percent=100)
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    collected = make_collected(site)
    kept = collected.chunk()
    collected.run(kept, *(collected.chunk(bytes([seed]) * 4 * MIB) for seed in range(3)))
    collected.run(kept, *(collected.chunk(bytes([seed]) * 4 * MIB) for seed in (8, 9)))
    collected.purge(1)
    return collected


async def test_it_is_read_to_its_end_and_goes_then(collected: Collected) -> None:
    store = collected.site.vault.store
    row, rows = store.container_now(1)
    assert row is not None
    pieces = store.scrub.run(row, rows)
    found = [next(pieces)]
    await collect_once(collected.site.vault)
    assert collected.site.vault.collections.state().containers_moved == 1
    files = list(collected.site.config.directory.glob("disk-*/containers/*/000000000001.container"))
    assert len(files) == 1
    found += pieces
    assert [(piece.damages, piece.alarms) for piece in found] == [([], [])] * len(found)
    assert len(found) > 1
    assert sum(piece.size_bytes for piece in found) == row.acknowledged_length
    assert store.house.remove_files() == [1]
    assert not files[0].exists()
    assert collected.are_there(collected.used[2]) == {True}
