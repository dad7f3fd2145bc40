"""The journal's disks come back from an older copy than the containers: what it does not acknowledge any more may have
been acknowledged, so none of it is destroyed."""

import shutil

import pytest

from tests.vaultd.store.fakes import create, make_settings, now_ns, records
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import SystemDoor
from vaultd.store.findings import Severity

SIZE = 20_000  # three fit a container


@pytest.fixture
def older(tmp_path):
    """Settings of a store, and every byte of its containers; its journal and index know the first commit only."""
    settings = make_settings(tmp_path)
    store = create(settings)
    store.append(0, records(0, size=SIZE))
    store.commit()
    store.close()
    for name in ("index", "disk0/journal"):
        shutil.copytree(tmp_path / name, tmp_path / "older" / name)
    store = ChunkStore.open(settings, SystemDoor(), now_ns)
    store.recover(lambda key: True)
    for first in range(1, 10, 3):
        store.append(0, records(first, first + 1, first + 2, size=SIZE))
        store.commit()
    store.close()
    for name in ("index", "disk0/journal"):
        shutil.rmtree(tmp_path / name)
        shutil.copytree(tmp_path / "older" / name, tmp_path / name)
    paths = sorted((tmp_path / "disk0/containers/0000").iterdir())
    return settings, {path: path.read_bytes() for path in paths}


@pytest.mark.parametrize("with_index", [True, False])
def test_nothing_that_it_does_not_know_is_destroyed(older, with_index):
    settings, before = older
    if not with_index:
        shutil.rmtree(settings.index_path)
    assert len(before) > 2
    for start in range(2):  # what was kept stays kept
        store = ChunkStore.open(settings, SystemDoor(), now_ns)
        report = store.recover(lambda key: True)
        store.close()
        first, *others = before
        (tail,) = first.parent.glob(first.name + ".*.unacknowledged")
        assert first.read_bytes() + tail.read_bytes() == before[first]
        assert int(tail.name.split(".")[2], 16) == first.stat().st_size
        for path in others:
            assert path.with_name(path.name + ".unacknowledged").read_bytes() == before[path]
        if start == 0:
            said = [finding.sentence for finding in report.findings if finding.severity is Severity.damage]
            assert any("older copy" in sentence for sentence in said)
