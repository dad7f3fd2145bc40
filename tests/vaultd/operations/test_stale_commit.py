"""What comes to count as damaged after a root was prepared: no safeset is acknowledged on it."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import BackedUp, Site
from tests.vaultd.operations.test_disk_hits import Spread
from tests.vaultd.operations.test_safesets import listed_safesets
from vaultd.errors import Conflict
from vaultd.operations import dead_keys, disks, ledger, safesets
from vaultd.operations.safesets import Committed, Prepared
from vaultd.operations.tree_walk import TreeWalk
from vaultd.store.errors import RecordDamaged


class Waiting:
    """A root that is prepared; its chunk lies alone on a disk that is away, so only a walk tells how it is."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site = site
        spread = Spread(site, monkeypatch)
        self.job = site.ready()
        self.chunk, self.other = (self.job.sealer.record(DATA, os.urandom(50)) for _ in range(2))
        spread.store(self.job, 1, self.chunk)
        self.top = self.job.sealer.leaf([self.chunk, self.other])
        spread.store(self.job, 0, self.other, *self.top)
        spread.lose()
        spread.start()
        self.old_key_id = self.job.sealer.key_id
        site.begin(self.job)
        self.payload = self.job.sealer.payload(self.top)
        self.root = self.job.sealer.root(self.top, self.payload)

    def prepare(self) -> Prepared:
        identity, run_id = self.job.agent.identity, self.job.sealer.run_id
        prepared = safesets.prepare(self.site.vault, identity, run_id, self.root, self.payload)
        assert isinstance(prepared, Prepared)
        return prepared

    def commit(self, prepared: Prepared) -> Committed:
        return safesets.commit(self.site.vault, self.job.agent.identity, prepared)

    def listed(self) -> int:
        identity = self.job.agent.identity
        return len(listed_safesets(self.site.vault, identity, identity.name, "home"))


@pytest.fixture
def waiting(site: Site, monkeypatch: pytest.MonkeyPatch) -> Waiting:
    return Waiting(site, monkeypatch)


def lose_the_disk(waiting: Waiting) -> None:
    disks.declare_lost(waiting.site.vault, waiting.site.operator, "1")


def give_the_key_up(waiting: Waiting) -> None:
    job = waiting.job
    dead_keys.give_up_keys(waiting.site.vault, job.agent.identity, job.job.job_id, [waiting.old_key_id])


def read_damage(waiting: Waiting) -> None:
    (path,) = waiting.site.config.directory.glob("disk-1/containers/*/*")
    data = bytearray(path.read_bytes())
    data[data.index(waiting.other) + len(waiting.other) - 1] ^= 1
    path.write_bytes(data)
    store, id_ = waiting.site.vault.store, id_of(waiting.other)
    (location,) = store.locate(waiting.job.sealer.keyring_id, [id_])
    assert location is not None
    with pytest.raises(RecordDamaged):
        store.read(location, id_)


@pytest.mark.parametrize("harm", [lose_the_disk, give_the_key_up, read_damage])
def test_what_is_damaged_after_a_root_was_prepared_refuses_its_commit(
    waiting: Waiting, harm: Callable[[Waiting], None]
) -> None:
    prepared = waiting.prepare()
    harm(waiting)
    assert safesets.commit_unless_stale(waiting.site.vault, waiting.job.agent.identity, prepared) is None
    with pytest.raises(Conflict, match="records that the safeset uses are missing or damaged") as caught:
        waiting.commit(prepared)
    assert caught.value.hint == "begin a new run and offer every id"
    assert waiting.listed() == 0


def after_walks(monkeypatch: pytest.MonkeyPatch, harm: Callable[[], None]) -> None:
    """When the next walk has looked everything up, and before it says so."""
    run = TreeWalk.run

    def run_and_harm(walk: TreeWalk) -> object:
        gap = run(walk)
        monkeypatch.setattr(TreeWalk, "run", run)
        harm()
        return gap

    monkeypatch.setattr(TreeWalk, "run", run_and_harm)


def test_damage_that_is_met_beside_the_walk_of_a_root_refuses_its_commit(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_walks(monkeypatch, lambda: lose_the_disk(waiting))
    prepared = waiting.prepare()
    with pytest.raises(Conflict, match="missing or damaged"):
        waiting.commit(prepared)
    assert waiting.listed() == 0


def test_damage_that_is_met_beside_the_walk_of_a_base_makes_it_be_walked_again(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting.commit(waiting.prepare())
    site, job = waiting.site, waiting.job
    site.vault.trees.__init__()  # type: ignore[misc]  # as after a start
    after_walks(monkeypatch, lambda: lose_the_disk(waiting))
    base = blake3(waiting.root).digest()
    assert safesets.is_whole_base(site.vault, job.agent.identity, job.job.job_id, base)
    assert not safesets.is_whole_base(site.vault, job.agent.identity, job.job.job_id, base)


def test_damage_that_is_met_while_a_safeset_is_written_makes_it_no_whole_base(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = ledger.record

    def record_and_harm(*arguments: Any, **details: Any) -> object:
        position = record(*arguments, **details)
        monkeypatch.setattr(ledger, "record", record)
        read_damage(waiting)
        return position

    prepared = waiting.prepare()
    monkeypatch.setattr(ledger, "record", record_and_harm)
    waiting.commit(prepared)
    agent, job_id = waiting.job.agent.identity, waiting.job.job.job_id
    assert not safesets.is_whole_base(waiting.site.vault, agent, job_id, blake3(waiting.root).digest())


def test_damage_of_others_refuses_no_commit(waiting: Waiting) -> None:
    prepared = waiting.prepare()
    waiting.site.vault.store.know_disks(waiting.site.vault.store.disks.known)
    assert waiting.commit(prepared).sequence == 1
    assert waiting.listed() == 1


def test_a_base_that_a_run_was_told_to_be_whole_is_looked_up_again_once_damage_was_met(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers of `run.begin` and of an offer hold until the commit, which alone makes a safeset."""
    waiting = Waiting(site, monkeypatch)
    waiting.commit(waiting.prepare())
    job: BackedUp = waiting.job
    first = waiting.root
    assert site.begin(job, base=blake3(first).digest()).base_known
    lose_the_disk(waiting)
    payload = job.sealer.payload(waiting.top)
    root = job.sealer.root(waiting.top, payload, sequence=2, previous=blake3(first).digest())
    with pytest.raises(Conflict, match=f"1 records .* missing or damaged, the first is {id_of(waiting.chunk).hex()}"):
        site.commit(job, root, payload)
