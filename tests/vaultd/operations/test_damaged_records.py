"""A record that is found damaged: no run builds on a safeset that uses it, and the next run sends it again."""

import os
from dataclasses import dataclass

import lmdb
import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import BackedUp, Site
from vaultd.errors import Conflict
from vaultd.operations import offer, safesets
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import RecordDamaged


@dataclass
class Stored:
    """One safeset of one chunk, and which of its records is hit later."""

    site: Site
    backed_up: BackedUp
    content: bytes
    chunk: bytes
    leaf: tuple[bytes, bytes]
    root_hash: bytes
    hit: bytes

    def find_damage(self) -> None:
        """Flips a bit on the disk and reads."""
        (path,) = self.site.config.directory.glob("disk-*/containers/*/*")
        data = bytearray(path.read_bytes())
        data[data.index(self.hit) + len(self.hit) - 1] ^= 1
        path.write_bytes(data)
        with pytest.raises(RecordDamaged):
            self.read()

    def damage_index_row(self) -> None:
        """Flips a bit of the row that leads to the record."""
        close_vault(self.site.vault)
        with lmdb.open(str(self.site.config.directory / "index"), max_dbs=8) as index:
            rows = index.open_db(b"records")
            with index.begin(write=True, db=rows) as transaction:
                ((key, row),) = [item for item in transaction.cursor() if item[0].endswith(id_of(self.hit))]
                transaction.put(key, row[:8] + bytes([row[8] ^ 1]) + row[9:])
        self.site.vault = open_vault(self.site.config, self.site.clock, SystemDoor())

    def read(self) -> bytes:
        store = self.site.vault.store
        (location,) = store.locate(self.backed_up.sealer.keyring_id, [id_of(self.hit)])
        assert location is not None
        return store.read(location, id_of(self.hit))

    def begin(self) -> bool:
        return self.site.begin(self.backed_up, base=self.root_hash).base_known

    def send_again(self) -> bytes:
        """Sealed anew; the ids stay what they were."""
        sealer = self.backed_up.sealer
        sealed = [sealer.record(DATA, self.content), *sealer.leaf([self.chunk])]
        (again,) = [one for one in sealed if id_of(one) == id_of(self.hit)]
        self.site.upload(self.backed_up, again)
        return again

    def commit_again(self, leaf: tuple[bytes, bytes]) -> bytes:
        payload = self.backed_up.sealer.payload(leaf)
        root = self.backed_up.sealer.root(leaf, payload, sequence=2, previous=self.root_hash)
        self.site.commit(self.backed_up, root, payload)
        return blake3(root).digest()


@pytest.fixture(params=["chunk", "companion", "block"])
def stored(site: Site, request: pytest.FixtureRequest) -> Stored:
    backed_up = site.ready()
    content = os.urandom(50)
    chunk = backed_up.sealer.record(DATA, content)
    leaf = backed_up.sealer.leaf([chunk])
    site.upload(backed_up, chunk, *leaf)
    payload = backed_up.sealer.payload(leaf)
    root = backed_up.sealer.root(leaf, payload)
    site.commit(backed_up, root, payload)
    hit = {"chunk": chunk, "block": leaf[0], "companion": leaf[1]}[request.param]
    return Stored(site, backed_up, content, chunk, leaf, blake3(root).digest(), hit)


@pytest.mark.parametrize("restarted", ["no", "in order", "killed"])
def test_a_run_does_not_build_on_a_safeset_that_uses_it(stored: Stored, restarted: str) -> None:
    assert stored.begin()
    stored.find_damage()
    if restarted == "in order":
        stored.site.reopen()
    elif restarted == "killed":
        stored.site.vault.store.commit()
        stored.site.crash()
    assert not stored.begin()
    again = stored.send_again()
    base = stored.commit_again(stored.leaf)
    assert stored.read() == again
    assert stored.site.begin(stored.backed_up, base=base).base_known


def test_a_record_whose_row_of_the_index_is_damaged_is_sent_again(stored: Stored) -> None:
    stored.damage_index_row()
    assert not stored.begin()
    with pytest.raises(Conflict, match="1 records that the safeset uses are missing or damaged"):
        stored.commit_again(stored.leaf)
    assert not stored.begin()
    again = stored.send_again()
    base = stored.commit_again(stored.leaf)
    assert stored.read() == again
    assert stored.site.begin(stored.backed_up, base=base).base_known


def test_one_that_is_found_in_the_middle_of_a_run_refuses_its_safeset(stored: Stored) -> None:
    assert stored.begin()
    stored.find_damage()
    with pytest.raises(Conflict, match="1 records that the safeset uses are missing or damaged"):
        stored.commit_again(stored.leaf)
    offered = offer.offer(
        stored.site.vault, stored.backed_up.agent.identity, stored.backed_up.sealer.run_id, id_of(stored.hit)
    )
    assert offered.missing == 1
    again = stored.send_again()
    stored.commit_again(stored.leaf)
    assert stored.read() == again


def test_what_cannot_be_sent_again_stays_damaged_and_later_safesets_are_whole(stored: Stored) -> None:
    stored.find_damage()
    assert not stored.begin()
    new = stored.backed_up.sealer.record(DATA, b"what the file holds by now")
    leaf = stored.backed_up.sealer.leaf([new])
    stored.site.upload(stored.backed_up, new, *leaf)
    base = stored.commit_again(leaf)
    assert stored.site.begin(stored.backed_up, base=base).base_known
    identity, job_id = stored.backed_up.agent.identity, stored.backed_up.sealer.job_id
    assert not safesets.is_whole_base(stored.site.vault, identity, job_id, stored.root_hash)
