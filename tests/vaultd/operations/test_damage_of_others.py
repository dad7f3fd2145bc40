"""What is said of an account's keys, or found of its records, makes nothing of another account be looked up again."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import BackedUp, Site
from tests.vaultd.operations.test_safesets import stored_leaf
from vaultd.operations import dead_keys, distrust, safesets
from vaultd.operations.distrust import Suspicion
from vaultd.operations.safesets import Committed, Prepared
from vaultd.operations.tree_walk import TreeWalk
from vaultd.records import Identity
from vaultd.store.errors import RecordDamaged


@dataclass
class Tenant:
    """An account whose run has stored a chunk and a root that is ready."""

    site: Site
    administrator: Identity
    job: BackedUp
    chunk: bytes
    payload: bytes
    root: bytes

    @classmethod
    def of(cls, site: Site, name: str) -> "Tenant":
        administrator = site.administrator(name)
        job = site.ready(administrator)
        chunk = job.sealer.record(DATA, os.urandom(50))
        leaf = job.sealer.leaf([chunk])
        site.upload(job, chunk, *leaf)
        payload = job.sealer.payload(leaf)
        return cls(site, administrator, job, chunk, payload, job.sealer.root(leaf, payload))

    def prepare(self) -> Prepared:
        identity, run_id = self.job.agent.identity, self.job.sealer.run_id
        prepared = safesets.prepare(self.site.vault, identity, run_id, self.root, self.payload)
        assert isinstance(prepared, Prepared)
        return prepared

    def commit_unless_stale(self, prepared: Prepared) -> Committed | None:
        return safesets.commit_unless_stale(self.site.vault, self.job.agent.identity, prepared)

    def is_whole(self) -> bool:
        identity = self.job.agent.identity
        return safesets.is_whole_base(self.site.vault, identity, self.job.job.job_id, blake3(self.root).digest())


@pytest.fixture
def hostile(site: Site) -> Tenant:
    """With an earlier run, whose key is not that of the run that goes on."""
    tenant = Tenant.of(site, "hostile")
    site.commit(tenant.job, tenant.root, tenant.payload)
    site.end(tenant.job)
    return tenant


@pytest.fixture
def other(site: Site) -> Tenant:
    return Tenant.of(site, "other")


def distrust_runs(tenant: Tenant) -> None:
    assert distrust.distrust(tenant.site.vault, tenant.administrator, Suspicion("laptop", 0)).keys == 1


def trust_again(tenant: Tenant) -> None:
    distrust_runs(tenant)
    distrust.trust_again(tenant.site.vault, tenant.administrator, Suspicion("laptop", 0))


def give_the_key_up(tenant: Tenant) -> None:
    job = tenant.job
    dead_keys.give_up_keys(tenant.site.vault, job.agent.identity, job.job.job_id, [job.sealer.key_id])


def read_damage(tenant: Tenant) -> None:
    for path in tenant.site.config.directory.glob("disk-*/containers/*/*"):
        data = bytearray(path.read_bytes())
        if tenant.chunk in data:
            data[data.index(tenant.chunk) + len(tenant.chunk) - 1] ^= 1
            path.write_bytes(data)
    store, id_ = tenant.site.vault.store, id_of(tenant.chunk)
    (location,) = store.locate(tenant.job.sealer.keyring_id, [id_])
    assert location is not None
    with pytest.raises(RecordDamaged):
        store.read(location, id_)


HARMS = [distrust_runs, trust_again, give_the_key_up, read_damage]


@pytest.mark.parametrize("harm", HARMS)
def test_no_commit_of_another_account_is_stale_by_it(
    hostile: Tenant, other: Tenant, harm: Callable[[Tenant], None]
) -> None:
    prepared = other.prepare()
    harm(hostile)
    committed = other.commit_unless_stale(prepared)
    assert committed is not None
    assert committed.sequence == 1


@pytest.mark.parametrize("harm", HARMS)
def test_nor_is_a_base_of_another_account_walked_again(
    hostile: Tenant, other: Tenant, harm: Callable[[Tenant], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    other.commit_unless_stale(other.prepare())

    def walk(_walk: TreeWalk) -> None:
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr(TreeWalk, "run", walk)
        assert other.is_whole()
        harm(hostile)
        assert other.is_whole()
    if harm is not trust_again:
        assert not hostile.is_whole()


def test_a_lost_disk_is_met_by_every_account(hostile: Tenant, other: Tenant) -> None:
    prepared, vault = other.prepare(), hostile.site.vault
    vault.store.know_disks(vault.store.disks.known)  # as `disks.declare_lost` does
    assert other.commit_unless_stale(prepared) is None


def next_run(tenant: Tenant) -> Prepared:
    """Its root, of new records under a new key."""
    site, job = tenant.site, tenant.job
    site.begin(job)
    leaf = stored_leaf(site, job)
    tenant.payload = job.sealer.payload(leaf)
    tenant.root = job.sealer.root(leaf, tenant.payload, sequence=2, previous=blake3(tenant.root).digest())
    return tenant.prepare()


def test_a_word_that_changes_no_key_makes_no_commit_stale(hostile: Tenant) -> None:
    """Also of runs that were distrusted before, and of a time after which there was none."""
    site = hostile.site
    site.clock.advance(3600)
    since = Suspicion("laptop", site.clock.now_ns())
    distrust.distrust(site.vault, hostile.administrator, Suspicion("laptop", 0))
    site.clock.advance(3600)
    before = site.vault.store.newest_damage
    distrust.distrust(site.vault, hostile.administrator, Suspicion("laptop", 0))
    assert distrust.distrust(site.vault, hostile.administrator, since).runs == 0
    assert site.vault.store.newest_damage == before
    prepared = next_run(hostile)
    distrust.tell_store(site.vault)
    assert hostile.commit_unless_stale(prepared) is not None


def test_keys_that_are_given_up_again_make_no_commit_stale_and_write_nothing(hostile: Tenant) -> None:
    job, vault = hostile.job, hostile.site.vault
    old_key = job.sealer.key_id
    identity, job_id = job.agent.identity, job.job.job_id
    dead_keys.give_up_keys(vault, identity, job_id, [old_key])
    vault.store.looks.conclude(vault.store.looks.due())
    prepared = next_run(hostile)
    dead_keys.give_up_keys(vault, identity, job_id, [old_key])
    dead_keys.give_up_keys(vault, identity, job_id, [])
    assert not vault.store.looks.is_any_due()
    assert hostile.commit_unless_stale(prepared) is not None
