"""What a lost disk held costs only itself: while it is away, and when another one took its place."""

import os
import shutil

import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import BackedUp, Site
from vaultd.errors import Conflict
from vaultd.operations import safesets, upload
from vaultd.operations.check import check_vault
from vaultd.operations.fetch import FetchStream, Loss
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor


class Spread:
    """A safeset of two chunks: one lies on the second disk, everything else on the first."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site = site
        self.backed_up: BackedUp = site.ready()
        sealer = self.backed_up.sealer
        self.content = os.urandom(50)
        self.here, self.there = sealer.record(DATA, os.urandom(50)), sealer.record(DATA, self.content)
        self.lost_id = id_of(self.there).hex()
        self.leaf = sealer.leaf([self.here, self.there])
        payload = sealer.payload(self.leaf)
        self.root = sealer.root(self.leaf, payload)
        self.store_on(monkeypatch, 1, self.there)
        self.store_on(monkeypatch, 0, self.here, *self.leaf)
        site.commit(self.backed_up, self.root, payload)
        site.end(self.backed_up)
        close_vault(site.vault)
        self.disk = site.config.directory / "disk-2"
        assert len(list(self.disk.glob("containers/*/*.container"))) == 1

    def store_on(self, monkeypatch: pytest.MonkeyPatch, number: int, *records: bytes) -> None:
        for module in (upload, safesets):
            monkeypatch.setattr(module, "home_disk_number", lambda *_: number)
        self.site.upload(self.backed_up, *records)

    def lose(self, *, replaced: bool) -> None:
        shutil.rmtree(self.disk)
        self.disk.mkdir()
        if replaced:
            (self.disk / "disk.new").touch()
        self.site.vault = open_vault(self.site.config, self.site.clock, SystemDoor())

    def fetch(self, *records: bytes) -> list[bytes | Loss]:
        vault, identity, sealer = self.site.vault, self.backed_up.agent.identity, self.backed_up.sealer
        ticket = vault.tickets.issue(identity, sealer.job_id, sealer.keyring_id)
        stream = FetchStream(vault, vault.tickets.find(identity, ticket))
        return stream.fetch([id_of(record) for record in records], 1 << 30).records

    def begin(self) -> bool:
        return self.site.begin(self.backed_up, base=blake3(self.root).digest()).base_known

    def commit_again(self) -> None:
        sealer = self.backed_up.sealer
        payload = sealer.payload(self.leaf)
        root = sealer.root(self.leaf, payload, sequence=2, previous=blake3(self.root).digest())
        self.site.commit(self.backed_up, root, payload)

    def check(self) -> list[str]:
        close_vault(self.site.vault)
        found = check_vault(self.site.config, SystemDoor(), read_data=True).findings
        self.site.vault = open_vault(self.site.config, self.site.clock, SystemDoor())
        return [f"{one.severity.value} {one.place}: {one.sentence}" for one in found]


@pytest.fixture
def spread(site: Site, monkeypatch: pytest.MonkeyPatch) -> Spread:
    return Spread(site, monkeypatch)


@pytest.mark.parametrize(("replaced", "loss"), [(False, "offline"), (True, "damaged")])
def test_a_restore_is_told_which_record_it_costs_and_gets_the_others(spread: Spread, replaced: bool, loss: str) -> None:
    spread.lose(replaced=replaced)
    assert spread.fetch(spread.there, spread.here) == [loss, spread.here]


@pytest.mark.parametrize("index", ["kept", "lost"])
def test_what_lay_on_a_replaced_disk_is_missing_until_it_is_sent_again(spread: Spread, index: str) -> None:
    spread.lose(replaced=True)
    if index == "lost":
        close_vault(spread.site.vault)
        shutil.rmtree(spread.site.config.directory / "index")
        spread.site.vault = open_vault(spread.site.config, spread.site.clock, SystemDoor())
    (told,) = [line for line in spread.check() if line.startswith("damage")]
    assert told.startswith("damage account acme, computer laptop, job home, safeset 1: ")
    assert f"1 records that it uses are missing or damaged, the first is {spread.lost_id}" in told
    assert "1 records that it uses lay on disk 1 (" in told
    assert not spread.begin()
    with pytest.raises(Conflict, match="1 records that the safeset uses are missing or damaged"):
        spread.commit_again()
    again = spread.backed_up.sealer.record(DATA, spread.content)
    spread.site.upload(spread.backed_up, again)
    spread.commit_again()
    assert spread.fetch(spread.here, spread.there) == [spread.here, again]
    assert spread.begin()
    assert [line for line in spread.check() if line.startswith("damage")] == []
    assert spread.fetch(spread.here, spread.there) == [spread.here, again]


def test_what_a_disk_that_is_away_holds_is_not_asked_for_again(spread: Spread) -> None:
    spread.lose(replaced=False)
    store, keyring_id = spread.site.vault.store, spread.backed_up.sealer.keyring_id
    assert store.missing(keyring_id, [id_of(spread.here), id_of(spread.there)]) == [False, False]
