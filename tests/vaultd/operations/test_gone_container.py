"""A container's file is gone from a disk that is here: what lay in it is missing from the start on that says so, and
nothing is acknowledged on it.
"""

import os
from pathlib import Path

import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import BackedUp, Site, make_site
from tests.vaultd.operations.test_disk_hits import Spread
from vaultd.errors import VaultError
from vaultd.operations import safesets
from vaultd.operations.check import check_vault
from vaultd.operations.vault import close_vault
from vaultd.store.disk_door import SystemDoor


class Gone:
    """A safeset with one chunk on the second disk; the vault is stopped, and the chunk's container moved away."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site: Site = make_site(root)
        self.spread = Spread(self.site, monkeypatch)
        self.job: BackedUp = self.site.ready()
        self.plain = os.urandom(50)
        self.chunk = self.job.sealer.record(DATA, self.plain)
        self.spread.store(self.job, 1, self.chunk)
        self.top = self.job.sealer.leaf([self.chunk])
        self.spread.store(self.job, 0, *self.top)
        self.root = self.spread.commit(self.job, self.top)
        self.site.end(self.job)
        close_vault(self.site.vault)
        (self.path,) = self.spread.disk.glob("containers/*/*.container")
        self.kept = root / "kept"
        self.path.rename(self.kept)

    def told(self) -> list[str]:
        return [f.place for f in self.site.vault.recovery.findings if f.sentence == "the container is gone"]

    def is_missing(self) -> bool:
        (missing,) = self.site.vault.store.missing(self.job.sealer.keyring_id, [id_of(self.chunk)])
        return missing

    def is_whole_base(self) -> bool:
        vault, agent = self.site.vault, self.job.agent.identity
        return safesets.is_whole_base(vault, agent, self.job.job.job_id, blake3(self.root).digest())


@pytest.fixture
def gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gone:
    return Gone(tmp_path, monkeypatch)


def test_what_lay_in_it_is_missing_and_no_safeset_is_acknowledged_on_it(gone: Gone) -> None:
    gone.spread.start()
    assert gone.told() == [str(gone.path)]
    assert gone.is_missing()
    assert not gone.is_whole_base()
    gone.site.begin(gone.job, blake3(gone.root).digest())
    with pytest.raises(VaultError, match="missing"):
        gone.spread.commit(gone.job, gone.top, after=gone.root)
    gone.spread.store(gone.job, 0, gone.job.sealer.record(DATA, gone.plain))
    assert not gone.is_missing()
    gone.spread.commit(gone.job, gone.top, after=gone.root)
    close_vault(gone.site.vault)


def test_it_counts_again_where_the_file_came_back(gone: Gone) -> None:
    gone.spread.start()
    close_vault(gone.site.vault)
    gone.kept.rename(gone.path)
    gone.spread.start()
    assert gone.told() == []
    assert not gone.is_missing()
    assert gone.is_whole_base()
    close_vault(gone.site.vault)


def test_the_check_names_the_safeset(gone: Gone) -> None:
    found = check_vault(gone.site.config, SystemDoor(), read_data=False).findings
    said = [f"{one.place}: {one.sentence}" for one in found if one.severity.value == "damage"]
    (of_container,) = [sentence for sentence in said if sentence.startswith(f"{gone.path}: the container is gone; ")]
    assert "; used by account " in of_container
    assert any(sentence.startswith("account ") and ", safeset " in sentence for sentence in said), said
