"""A run key or a slot that does not open any more: what lies under it is stored anew, or the run is refused."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import BackedUp, Site, batch
from tests.vaultd.operations.test_safesets import commit_leaf
from vaultd.errors import Conflict, Damaged, Unavailable
from vaultd.operations import dead_keys, ledger, safesets, upload
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import Handle, SystemDoor
from vaultd.store.disks.known_disks import KnownDisk
from vaultd.store.errors import RecordDamaged


def change_rows(site: Site, table: str, field: int, change: Callable[[bytes], bytes]) -> None:
    """The wrapped value of every row."""
    catalog = site.vault.catalog
    with catalog.read() as view:
        rows, position = list(view.scan(table)), view.position()
    changes = []
    for key, value in rows:
        fields = msgpack.unpackb(value)
        fields[field] = change(fields[field])
        changes.append((table, key, msgpack.packb(fields)))
    catalog.apply(changes, position)


def flip_rows(site: Site, table: str, field: int) -> None:
    """A bit of each."""
    change_rows(site, table, field, lambda wrapped: wrapped[:-1] + bytes([wrapped[-1] ^ 1]))


def of_a_later_version(wrapped: bytes) -> bytes:
    head = wrapped[:4] + b"\2" + wrapped[5:24]
    return head + blake3(head).digest()[:8] + wrapped[32:]


def missing(site: Site, backed_up: BackedUp, *ids: bytes) -> list[bool]:
    return site.vault.store.missing(backed_up.sealer.keyring_id, ids)


@pytest.mark.parametrize("is_restarted", [False, True])
def test_what_lies_under_a_key_that_does_not_open_is_sent_again(site: Site, is_restarted: bool) -> None:
    backed_up = site.ready()
    content = os.urandom(50)
    chunk = backed_up.sealer.record(DATA, content)
    leaf = backed_up.sealer.leaf([chunk])
    site.upload(backed_up, chunk, *leaf)
    payload = backed_up.sealer.payload(leaf)
    root = backed_up.sealer.root(leaf, payload)
    site.commit(backed_up, root, payload)
    identity, job_id, vault = backed_up.agent.identity, backed_up.job.job_id, site.vault
    assert dead_keys.judge_keys(vault, identity, job_id).dead == []
    vault.judged_keys.clear()
    flip_rows(site, "run_keys", 3)
    (dead,) = dead_keys.judge_keys(vault, identity, job_id).dead
    dead_keys.give_up_keys(vault, identity, job_id, [dead])
    if is_restarted:
        site.reopen()
        assert dead_keys.judge_keys(site.vault, identity, job_id).dead == [dead]
        dead_keys.give_up_keys(site.vault, identity, job_id, [dead])
    vault = site.vault
    block, companion = leaf
    assert missing(site, backed_up, id_of(chunk), id_of(block), id_of(payload)) == [True] * 3
    assert missing(site, backed_up, id_of(companion)) == [False], "no key is needed for it"
    assert not safesets.is_whole_base(vault, identity, job_id, blake3(root).digest())
    (location,) = vault.store.locate(backed_up.sealer.keyring_id, [id_of(chunk)])
    assert vault.store.read(location, id_of(chunk)) == chunk
    vault.store.commit()
    assert missing(site, backed_up, id_of(chunk)) == [True], "that it reads well says nothing of its key"
    assert dead_keys.judge_keys(vault, identity, job_id).dead == []


@pytest.mark.parametrize(("table", "field"), [("run_keys", 3), ("slots", 1)])
def test_a_wrap_of_a_later_version_refuses_the_run_and_is_not_judged(site: Site, table: str, field: int) -> None:
    backed_up = site.ready()
    commit_leaf(site, backed_up)
    site.vault.judged_keys.clear()
    change_rows(site, table, field, of_a_later_version)
    judge = dead_keys.judge_keys if table == "run_keys" else dead_keys.check_slots
    with pytest.raises(Conflict, match="later version of vaultd"):
        judge(site.vault, backed_up.agent.identity, backed_up.job.job_id)


def test_what_was_read_before_its_key_was_judged_is_sent_again_too(site: Site) -> None:
    backed_up = site.ready()
    chunk = backed_up.sealer.record(DATA, os.urandom(50))
    leaf = backed_up.sealer.leaf([chunk])
    site.upload(backed_up, chunk, *leaf)
    site.vault.store.commit()
    identity, job_id = backed_up.agent.identity, backed_up.job.job_id
    flip_rows(site, "run_keys", 3)
    site.vault.judged_keys.clear()
    (dead,) = dead_keys.judge_keys(site.vault, identity, job_id).dead
    dead_keys.give_up_keys(site.vault, identity, job_id, [dead])
    site.reopen()
    assert missing(site, backed_up, id_of(chunk)) == [True]
    for _ in range(2):
        (location,) = site.vault.store.locate(backed_up.sealer.keyring_id, [id_of(chunk)])
        assert site.vault.store.read(location, id_of(chunk)) == chunk
        site.vault.store.commit()
        assert missing(site, backed_up, id_of(chunk)) == [True], "that it reads well says nothing of its key"
        site.reopen()
    dead_keys.give_up_keys(site.vault, identity, job_id, [dead])
    assert missing(site, backed_up, id_of(chunk)) == [True]


def test_a_key_that_opens_again_is_taken_back_with_what_is_under_it(site: Site) -> None:
    """As where the disk with the good copy of its erase key was declared lost and came back."""
    backed_up = site.ready()
    chunk, spoilt = (backed_up.sealer.record(DATA, os.urandom(50)) for _ in range(2))
    site.upload(backed_up, chunk, spoilt)
    (location,) = site.vault.store.locate(backed_up.sealer.keyring_id, [id_of(spoilt)])
    site.vault.store._notes.note_damage(id_of(spoilt), location)
    site.vault.store.commit()
    identity, job_id = backed_up.agent.identity, backed_up.job.job_id
    flip_rows(site, "run_keys", 3)
    site.vault.judged_keys.clear()
    judged = dead_keys.judge_keys(site.vault, identity, job_id)
    assert (len(judged.dead), judged.back) == (1, [])
    dead_keys.settle_keys(site.vault, identity, job_id, judged)
    assert missing(site, backed_up, id_of(chunk), id_of(spoilt)) == [True, True]
    assert dead_keys.judge_keys(site.vault, identity, job_id) == dead_keys.Judged([], [])
    flip_rows(site, "run_keys", 3)
    again = dead_keys.judge_keys(site.vault, identity, job_id)
    assert again == dead_keys.Judged([], judged.dead)
    dead_keys.settle_keys(site.vault, identity, job_id, again)
    assert missing(site, backed_up, id_of(chunk), id_of(spoilt)) == [False, True]
    site.reopen()
    assert missing(site, backed_up, id_of(chunk), id_of(spoilt)) == [False, True]
    assert dead_keys.judge_keys(site.vault, identity, job_id) == dead_keys.Judged([], [])


def test_damage_that_is_read_under_a_given_up_key_stays_when_the_key_opens_again(site: Site) -> None:
    backed_up = site.ready()
    chunk, spoilt = (backed_up.sealer.record(DATA, os.urandom(50)) for _ in range(2))
    site.upload(backed_up, chunk, spoilt)
    identity, job_id, key_id = backed_up.agent.identity, backed_up.job.job_id, backed_up.sealer.key_id
    dead_keys.give_up_keys(site.vault, identity, job_id, [key_id])
    for path in site.config.directory.glob("disk-*/containers/*/*"):
        data = bytearray(path.read_bytes())
        if (at := data.find(spoilt)) >= 0:
            data[at + len(spoilt) - 1] ^= 1
            path.write_bytes(data)
    (location,) = site.vault.store.locate(backed_up.sealer.keyring_id, [id_of(spoilt)])
    assert location is not None
    with pytest.raises(RecordDamaged):
        site.vault.store.read(location, id_of(spoilt))
    site.vault.store.commit()
    dead_keys.settle_keys(site.vault, identity, job_id, dead_keys.judge_keys(site.vault, identity, job_id))
    assert missing(site, backed_up, id_of(chunk), id_of(spoilt)) == [False, True]


def test_a_key_that_cannot_be_read_now_is_not_taken_back(site: Site) -> None:
    backed_up = site.ready()
    commit_leaf(site, backed_up)
    identity, job_id, key_id = backed_up.agent.identity, backed_up.job.job_id, backed_up.sealer.key_id
    dead_keys.give_up_keys(site.vault, identity, job_id, [key_id])
    close_vault(site.vault)
    door = NoDescriptors()
    door.is_over = True
    site.vault = open_vault(site.config, site.clock, door)
    door.is_over = False
    assert dead_keys.judge_keys(site.vault, identity, job_id).back == []
    door.is_over = True
    assert dead_keys.judge_keys(site.vault, identity, job_id).back == [key_id]


def test_a_run_whose_own_key_was_given_up_commits_nothing(site: Site) -> None:
    """By the run of another job with the same keyring: also what is sent under it from then on is missing."""
    backed_up = site.ready()
    identity, job_id = backed_up.agent.identity, backed_up.job.job_id
    leaf = backed_up.sealer.leaf([backed_up.sealer.record(DATA, os.urandom(50))])
    verified = upload.verify(upload.facts(site.vault, identity, backed_up.sealer.run_id), batch(*leaf))
    dead_keys.give_up_keys(site.vault, identity, job_id, [backed_up.sealer.key_id])
    upload.append(site.vault, verified, identity)
    ledger.write(site.vault)
    assert missing(site, backed_up, id_of(leaf[0]), id_of(leaf[1])) == [True, False]
    site.begin(backed_up)
    block = backed_up.sealer.leaf([])
    site.upload(backed_up, *block)
    payload = backed_up.sealer.payload(block)
    prepared = safesets.prepare(
        site.vault, identity, backed_up.sealer.run_id, backed_up.sealer.root(block, payload), payload
    )
    assert isinstance(prepared, safesets.Prepared)
    dead_keys.give_up_keys(site.vault, identity, job_id, [backed_up.sealer.key_id])
    with pytest.raises(Conflict, match=f"run key {backed_up.sealer.key_id.hex()} was given up"):
        safesets.commit(site.vault, identity, prepared)


def test_what_is_sent_under_a_key_that_was_given_up_is_refused_at_once(site: Site) -> None:
    """And not only with the root, hours later."""
    backed_up = site.ready()
    identity, job_id, given_up = backed_up.agent.identity, backed_up.job.job_id, backed_up.sealer.key_id
    chunk = backed_up.sealer.record(DATA, os.urandom(50))
    block, companion = backed_up.sealer.leaf([chunk])
    dead_keys.give_up_keys(site.vault, identity, job_id, [given_up])
    with pytest.raises(Damaged, match=f"record 1 of the batch: run key {given_up.hex()} was given up"):
        site.upload(backed_up, companion, chunk)
    assert missing(site, backed_up, id_of(chunk), id_of(companion)) == [True, True]
    dead_keys.take_back_keys(site.vault, identity, job_id, [given_up])
    site.upload(backed_up, block, companion, chunk)
    assert missing(site, backed_up, id_of(chunk), id_of(companion)) == [False, False]


def test_a_job_whose_slots_do_not_open_takes_no_run(site: Site) -> None:
    backed_up = site.ready()
    commit_leaf(site, backed_up)
    flip_rows(site, "slots", 1)
    with pytest.raises(Damaged, match="no slot of job 'home' can be read"):
        dead_keys.check_slots(site.vault, backed_up.agent.identity, backed_up.job.job_id)


def test_nothing_is_judged_while_a_disk_is_away(site: Site, tmp_path: Path) -> None:
    """It may have the copy of an erase key that opens."""
    backed_up = site.ready()
    commit_leaf(site, backed_up)
    flip_rows(site, "run_keys", 3)
    site.vault.judged_keys.clear()
    site.vault.store.disks.know([*site.vault.store.disks.known, KnownDisk(b"d" * 16, 2, False, str(tmp_path))])
    assert dead_keys.judge_keys(site.vault, backed_up.agent.identity, backed_up.job.job_id).dead == []


class NoDescriptors(SystemDoor):
    """For a moment the process has no more of them."""

    is_over = False

    def open_read(self, path: Path) -> Handle:
        if path.suffix in (".key", ".key2") and not self.is_over:
            raise OSError(errno.EMFILE, "Too many open files", str(path))
        return super().open_read(path)


def test_a_key_that_cannot_be_read_now_is_not_judged(site: Site) -> None:
    backed_up = site.ready()
    commit_leaf(site, backed_up)
    close_vault(site.vault)
    door = NoDescriptors()
    door.is_over = True
    site.vault = open_vault(site.config, site.clock, door)
    door.is_over = False
    with pytest.raises(Unavailable, match="cannot be read now"):
        dead_keys.check_slots(site.vault, backed_up.agent.identity, backed_up.job.job_id)
    assert dead_keys.judge_keys(site.vault, backed_up.agent.identity, backed_up.job.job_id).dead == []
    door.is_over = True
    assert dead_keys.judge_keys(site.vault, backed_up.agent.identity, backed_up.job.job_id).dead == []
