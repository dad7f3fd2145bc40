"""Runs of a suspect computer are distrusted: what they stored restores, and is missing until it is stored anew."""

import os
import shutil
from collections.abc import Callable

import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import BackedUp, Site
from tests.vaultd.operations.test_restore import request
from vaultd.catalog.distrusted_keys import list_distrusted
from vaultd.errors import Conflict, NotFound
from vaultd.operations import dead_keys, distrust, fetch, jobs, leaning, offer, restore, safesets
from vaultd.operations.distrust import Suspicion
from vaultd.operations.rebuild import rebuild_vault
from vaultd.operations.vault import close_vault, open_vault
from vaultd.records import Identity
from vaultd.store.disk_door import SystemDoor
from vaultd.store.index.reading_progress import tell_nobody

HOUR_SECONDS = 3600


class Suspect:
    """`before` was stored an hour before `since_ns`, `after` by a later run; each has a safeset, and the second one
    uses both.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.administrator: Identity = site.administrator()
        self.backed_up: BackedUp = site.ready(self.administrator)
        self.contents = os.urandom(50), os.urandom(50)
        self.before = self.backed_up.sealer.record(DATA, self.contents[0])
        self.first = self.commit([self.before], 1, bytes(32))
        site.clock.advance(HOUR_SECONDS)
        self.since_ns = site.clock.now_ns()
        site.begin(self.backed_up)
        self.after = self.backed_up.sealer.record(DATA, self.contents[1])
        self.second = self.commit([self.before, self.after], 2, self.first)
        site.clock.advance(HOUR_SECONDS)

    def commit(self, chunks: list[bytes], sequence: int, previous: bytes) -> bytes:
        """Of the run that goes on, which ends; the root hash."""
        sealer = self.backed_up.sealer
        leaf = sealer.leaf(chunks)
        own = [chunk for chunk in chunks if chunk[24:40] == sealer.key_id]
        self.site.upload(self.backed_up, *own, *leaf)
        payload = sealer.payload(leaf)
        root = sealer.root(leaf, payload, sequence=sequence, previous=previous)
        self.site.commit(self.backed_up, root, payload)
        self.site.end(self.backed_up)
        return blake3(root).digest()

    def distrust(self) -> distrust.Distrusted:
        return distrust.distrust(self.site.vault, self.administrator, self.suspicion)

    @property
    def suspicion(self) -> Suspicion:
        return Suspicion("laptop", self.since_ns)

    def missing(self, *records: bytes) -> list[bool]:
        keyring_id = self.backed_up.sealer.keyring_id
        return self.site.vault.store.missing(keyring_id, [id_of(record) for record in records])

    def is_whole(self, root_hash: bytes) -> bool:
        identity = self.backed_up.agent.identity
        return safesets.is_whole_base(self.site.vault, identity, self.backed_up.job.job_id, root_hash)

    def restored(self, record: bytes, sequence: int) -> object:
        identity = self.backed_up.agent.identity
        opened = restore.open_restore(self.site.vault, identity, request(self.backed_up, sequence=sequence))
        stream = fetch.open_fetch(self.site.vault, identity, opened.ticket)
        return stream.fetch([id_of(record)], 1 << 20).records[0]


@pytest.fixture
def suspect(site: Site) -> Suspect:
    return Suspect(site)


def without_index(site: Site) -> None:
    close_vault(site.vault)
    shutil.rmtree(site.config.directory / "index")
    site.vault = open_vault(site.config, site.clock, SystemDoor())


def without_images(site: Site) -> None:
    """The catalog comes back from checkpoint and journal."""
    close_vault(site.vault)
    for name in ("index", "catalog"):
        shutil.rmtree(site.config.directory / name)
    site.vault = open_vault(site.config, site.clock, SystemDoor())


def rebuilt(site: Site) -> None:
    close_vault(site.vault)
    rebuild_vault(site.config, site.clock, SystemDoor(), tell_nobody, index_only=False)
    site.vault = open_vault(site.config, site.clock, SystemDoor())


AGAIN: dict[str, Callable[[Site], None]] = {
    "at-once": lambda site: None,
    "restart": Site.reopen,
    "crash": Site.crash,
    "index-lost": without_index,
    "images-lost": without_images,
    "rebuild": rebuilt,
}


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
def test_what_the_runs_stored_is_missing_and_restores(suspect: Suspect, again: Callable[[Site], None]) -> None:
    assert suspect.is_whole(suspect.second)
    assert suspect.distrust() == distrust.Distrusted(runs=1, keys=1)
    again(suspect.site)
    assert suspect.missing(suspect.before, suspect.after) == [False, True]
    assert (suspect.is_whole(suspect.second), suspect.is_whole(suspect.first)) == (False, True)
    assert suspect.restored(suspect.after, 2) == suspect.after
    suspect.site.begin(suspect.backed_up)
    identity, run_id = suspect.backed_up.agent.identity, suspect.backed_up.sealer.run_id
    offered = offer.offer(suspect.site.vault, identity, run_id, id_of(suspect.before) + id_of(suspect.after))
    assert (offered.missing, offered.bitmap) == (1, b"\x02")


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
def test_the_next_run_stores_it_anew_and_everything_uses_that(suspect: Suspect, again: Callable[[Site], None]) -> None:
    suspect.distrust()
    suspect.site.begin(suspect.backed_up)
    anew = suspect.backed_up.sealer.record(DATA, suspect.contents[1])
    assert (id_of(anew), anew == suspect.after) == (id_of(suspect.after), False)
    third = suspect.commit([suspect.before, anew], 3, suspect.second)
    again(suspect.site)
    assert suspect.missing(suspect.before, anew) == [False, False]
    assert suspect.is_whole(third)
    assert suspect.restored(anew, 2) == anew
    assert suspect.restored(anew, 3) == anew


def test_a_root_that_uses_it_is_no_safeset(suspect: Suspect) -> None:
    suspect.distrust()
    suspect.site.begin(suspect.backed_up)
    sealer = suspect.backed_up.sealer
    leaf = sealer.leaf([suspect.after])
    suspect.site.upload(suspect.backed_up, *leaf)
    payload = sealer.payload(leaf)
    with pytest.raises(Conflict, match="missing or damaged"):
        suspect.site.commit(suspect.backed_up, sealer.root(leaf, payload, sequence=3, previous=suspect.second), payload)


def test_that_its_key_opens_takes_nothing_back(suspect: Suspect) -> None:
    suspect.distrust()
    vault, identity = suspect.site.vault, suspect.backed_up.agent.identity
    vault.judged_keys.clear()
    judged = dead_keys.judge_keys(vault, identity, suspect.backed_up.job.job_id)
    assert judged == dead_keys.Judged([], [])
    dead_keys.settle_keys(vault, identity, suspect.backed_up.job.job_id, judged)
    assert suspect.restored(suspect.after, 2) == suspect.after
    vault.store.commit()
    assert suspect.missing(suspect.after) == [True]


def test_what_leans_on_it_is_listed(suspect: Suspect) -> None:
    site = suspect.site
    site.begin(suspect.backed_up)
    late = suspect.backed_up.sealer.record(DATA, os.urandom(50))
    until_ns = site.clock.now_ns()
    suspect.commit([suspect.after, late], 3, suspect.second)
    with site.vault.catalog.read() as view:
        assert list(list_distrusted(view)) == []
    page = leaning.leaning(site.vault, suspect.administrator, Suspicion("laptop", suspect.since_ns), b"")
    assert [(one.number, one.is_made, one.at_least) for one in page.safesets] == [(2, True, False), (3, True, False)]
    assert page.safesets[0].records == 3  # chunk, block, payload
    assert (page.safesets[0].computer, page.safesets[0].job, page.next) == ("laptop", "home", b"")
    page = leaning.leaning(site.vault, suspect.administrator, Suspicion("laptop", until_ns), b"")
    assert [(one.number, one.is_made) for one in page.safesets] == [(3, True)]
    page = leaning.leaning(site.vault, suspect.administrator, Suspicion("laptop", until_ns + 1), b"")
    assert page.safesets == []


def test_an_older_safeset_that_these_runs_healed_is_listed_too(site: Site) -> None:
    """Its record is theirs now: whoever had the computer knew the id and could store something else under it."""
    suspect = Suspect(site)
    keyring_id = suspect.backed_up.sealer.keyring_id
    (location,) = site.vault.store.locate(keyring_id, [id_of(suspect.before)])
    site.vault.store._notes.note_damage(id_of(suspect.before), location)
    site.vault.store.commit()
    site.begin(suspect.backed_up)
    suspect.since_ns = site.clock.now_ns()
    suspect.commit([suspect.backed_up.sealer.record(DATA, suspect.contents[0])], 3, suspect.second)
    page = leaning.leaning(site.vault, suspect.administrator, suspect.suspicion, b"")
    assert [(one.number, one.is_made, one.records) for one in page.safesets[:2]] == [(1, False, 1), (2, False, 1)]
    assert (page.safesets[2].number, page.safesets[2].is_made) == (3, True)
    suspect.distrust()
    assert suspect.missing(suspect.before, suspect.after) == [True, False]
    assert not suspect.is_whole(suspect.first)


def pages_behind(suspect: Suspect, page: leaning.LeaningPage) -> list[int]:
    """The numbers on all of them."""
    found = []
    while page.next:
        page = leaning.leaning(suspect.site.vault, suspect.administrator, suspect.suspicion, page.next)
        found += [one.number for one in page.safesets]
    return found


def test_a_page_behind_the_first_goes_through_no_runs_again(suspect: Suspect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long history is gone through once; after a restart, and after a pause, once more."""
    site = suspect.site
    monkeypatch.setattr(leaning, "SAFESETS_AT_ONCE", 1)
    root_hash = suspect.second
    for number in (3, 4, 5):
        site.begin(suspect.backed_up)
        root_hash = suspect.commit([suspect.after], number, root_hash)
    walks, walk = [], distrust.list_runs_back

    def counted(*words: object) -> object:
        walks.append(words)
        return walk(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(distrust, "list_runs_back", counted)
    first = leaning.leaning(site.vault, suspect.administrator, suspect.suspicion, b"")
    of_one_page = len(walks)
    assert pages_behind(suspect, first) == [2, 3, 4, 5]
    assert len(walks) == of_one_page
    site.crash()
    assert pages_behind(suspect, first) == [2, 3, 4, 5]
    assert len(walks) == 2 * of_one_page
    site.clock.advance(600)
    assert pages_behind(suspect, first) == [2, 3, 4, 5]
    assert len(walks) == 3 * of_one_page


def test_a_provisional_safeset_that_was_replaced_is_not_listed(suspect: Suspect) -> None:
    """Nobody can restore it."""
    site, sealer = suspect.site, suspect.backed_up.sealer
    site.begin(suspect.backed_up)
    late = sealer.record(DATA, os.urandom(50))
    leaf = sealer.leaf([late])
    site.upload(suspect.backed_up, late, *leaf)
    payload = sealer.payload(leaf)
    root = sealer.root(leaf, payload, sequence=3, previous=suspect.second, complete=0)
    site.commit(suspect.backed_up, root, payload)
    for more, expected in ((False, [2, 3]), (True, [2, 4])):
        if more:
            suspect.commit([late], 4, blake3(root).digest())
        page = leaning.leaning(site.vault, suspect.administrator, suspect.suspicion, b"")
        assert [one.number for one in page.safesets] == expected


def test_the_list_of_safesets_says_which_the_runs_made(suspect: Suspect) -> None:
    def flags() -> list[bool]:
        page = safesets.list_page(suspect.site.vault, suspect.administrator, "laptop", "home", None, 9)
        return [one.distrusted for one in page.safesets]

    assert flags() == [False, False]
    suspect.distrust()
    assert flags() == [False, True]
    suspect.site.crash()
    assert flags() == [False, True]


def test_undo_trusts_it_again(suspect: Suspect) -> None:
    suspect.distrust()
    undone = distrust.trust_again(suspect.site.vault, suspect.administrator, suspect.suspicion)
    assert undone == distrust.Distrusted(runs=1, keys=1)
    assert suspect.missing(suspect.after) == [False]
    assert suspect.is_whole(suspect.second)
    suspect.site.crash()
    assert suspect.missing(suspect.after) == [False]


def test_a_run_that_goes_on_ends(suspect: Suspect) -> None:
    site = suspect.site
    site.begin(suspect.backed_up)
    assert distrust.count(site.vault, suspect.administrator, suspect.suspicion) == distrust.Distrusted(2, 2)
    assert suspect.missing(suspect.after) == [False], "a count changes nothing"
    suspect.distrust()
    assert jobs.show(site.vault, suspect.administrator, "laptop", "home").runs[0].outcome == "aborted"
    late = suspect.backed_up.sealer.record(DATA, os.urandom(50))
    with pytest.raises(Conflict, match="has ended as aborted"):
        site.upload(suspect.backed_up, late)


def test_a_computer_of_another_account_is_not_distrusted(suspect: Suspect) -> None:
    other = suspect.site.administrator("other")
    for act in (distrust.distrust, distrust.trust_again, distrust.count):
        with pytest.raises(NotFound, match="computer 'laptop' does not exist"):
            act(suspect.site.vault, other, suspect.suspicion)
    with pytest.raises(NotFound, match="computer 'laptop' does not exist"):
        leaning.leaning(suspect.site.vault, other, suspect.suspicion, b"")
    leaning.leaning(suspect.site.vault, suspect.administrator, suspect.suspicion, b"")
    with pytest.raises(NotFound, match="computer 'laptop' does not exist"):
        leaning.leaning(suspect.site.vault, other, suspect.suspicion, bytes(44))
