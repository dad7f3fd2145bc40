"""A site with a history, and what the watch walks and tells of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vaultd.maintenance.history import History, Told, Walked
from tests.vaultd.operations.small_site import Site, make_site
from vaultd.maintenance import damaged_safesets
from vaultd.operations.hurt_walk import HurtWalk
from vaultd.records import Safeset


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = make_site(tmp_path)
    yield site
    site.vault.catalog.close()
    site.vault.store.close()
    site.vault.lock.close()


@pytest.fixture
def history(site: Site) -> History:
    return History(site, site.administrator())


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()
    monkeypatch.setattr(damaged_safesets, "log", told)
    return told


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> Walked:
    run, walked = HurtWalk.run, []

    def counted(walk: HurtWalk, safeset: Safeset) -> Iterator[None]:
        walked.append((safeset.job_id, safeset.sequence))
        yield from run(walk, safeset)

    monkeypatch.setattr(HurtWalk, "run", counted)
    return walked
