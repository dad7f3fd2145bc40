"""A kill at each step of a history in which mark, commits, undelete, moves and sweep come between each other.

What the safesets that stand use reads back equal, nothing is answered "present" after its key left, and what nobody
uses is answered "missing" after the next collection that comes to its end, also where the index is lost then. With
`--hypothesis-profile=long --timeout=0` that collection comes after each of the kills.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings

from tests.vaultd.operations.collected_site import Collected, make_collected
from tests.vaultd.operations.collection_story import Story
from tests.vaultd.operations.job_keys import NO_KEY, key_of, keys_that_open, lost_in_restore
from tests.vaultd.operations.kept_job import DAY_SECONDS
from tests.vaultd.operations.killed_vault import Killed, Kills, KillsDoor
from tests.vaultd.operations.small_site import make_site
from tests.vaultd.operations.unlooked_images import MEMORY, images_unlooked
from vaultd.operations import collection, retention, safesets
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor

CONTAINER_BYTES = 64 * 1024
MOMENTS_MIN = 450
# What is there is judged at each moment. Everything goes on from then, until nobody uses what is dead any more, after
# each transaction, where index and journal may differ, and after one in so many of the other moments.
GOES_ON_EVERY = 1 if settings.get_current_profile_name() == "long" else 9
PLACES = {
    "before pwrite", "in the middle of a write", "before open_new", "before unlink", "before a transaction",
    "after a transaction", "at the end",
}  # fmt: skip


@pytest.fixture
def memory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory, images_unlooked():
        yield Path(directory)


def test_a_kill_at_each_step_of_a_collection_costs_nothing(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "DROPPED_AT_ONCE", 2)
    site = make_site(memory)
    close_vault(site.vault)
    site.config = replace(site.config, container_bytes=CONTAINER_BYTES)
    kills = Kills(memory)
    site.vault = open_vault(site.config, site.clock, KillsDoor(kills))
    story = Story(make_collected(site))
    story.begin_here()
    with kills.watching(story.one, story.acknowledged):
        story.go_on()
    close_vault(site.vault)
    assert len(kills.killed) >= MOMENTS_MIN
    assert {killed.place for killed in kills.killed} >= PLACES
    for number, killed in enumerate(kills.killed, 1):
        with named(f"moment {number} of {len(kills.killed)}, {killed.place}"):
            one = killed.start(story.one)
            Judge(one, killed, kills.versions).require_kept(killed.acknowledged.told)
            if killed.place == "after a transaction" or number % GOES_ON_EVERY == 0:
                go_on(one, killed, kills.versions, moves=number % 2 == 0)
            close_vault(one.site.vault)
        shutil.rmtree(killed.directory)


@contextmanager
def named(moment: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise AssertionError(f"killed at {moment}: {error}") from error


def go_on(one: Collected, killed: Killed, versions: dict[bytes, set[bytes]], *, moves: bool) -> None:
    """A move takes away what a lost index would bring back."""
    one.collect()  # the run that goes on comes back, so far
    Judge(one, killed, versions).require_kept(killed.acknowledged.told)
    one.site.clock.advance(9 * DAY_SECONDS)
    one.keep_house()
    one.collect()
    for _ in one.move() if moves else ():
        pass
    Judge(one, killed, versions).require_kept_and_gone()
    close_vault(one.site.vault)
    shutil.rmtree(one.site.config.directory / "index")
    one.site.vault = open_vault(one.site.config, one.site.clock, SystemDoor())
    if killed.acknowledged.is_moving:  # a copy whose move was broken off is found again, and goes once more
        Judge(one, killed, versions).require_kept()
        one.collect()
    Judge(one, killed, versions).require_kept_and_gone()


class Judge:
    """Of what there is now. `versions`: by id, all records that were ever stored."""

    def __init__(self, one: Collected, killed: Killed, versions: dict[bytes, set[bytes]]) -> None:
        self._one, self._acknowledged, self._versions = one, killed.acknowledged, versions
        self._ids = sorted(versions)
        page = safesets.list_page(one.site.vault, one.owner, one.name, "home", None, 1000)
        self._standing = {summary.number for summary in page.safesets}
        ended = retention.list_ended_newest(one.site.vault, one.owner, one.name, "home")
        self._purged = {summary.number for summary in ended if summary.state == "purged"}
        live = self._standing | {summary.number for summary in ended} - self._purged
        self._used = set[bytes]().union(*(one.used[number] for number in live))
        told = one.site.vault.store.missing(one.keyring_id, self._ids)
        self._present = [id_ for id_, is_missing in zip(self._ids, told, strict=True) if not is_missing]

    def require_kept(self, told: Collection[bytes] = ()) -> None:
        assert self._acknowledged.standing <= self._standing
        assert self._acknowledged.purged <= self._purged
        assert (self._used | set(told)) - set(self._present) == set()
        store = self._one.site.vault.store
        locations = store.locate(self._one.keyring_id, self._present)
        read = {id_: store.read(location, id_) for id_, location in zip(self._present, locations, strict=True)}
        assert {id_ for id_, record in read.items() if record not in self._versions[id_]} == set()
        assert {key_of(record) for record in read.values()} - {NO_KEY} <= keys_that_open(self._one)
        self._one.stored = read

    def require_kept_and_gone(self) -> None:
        self.require_kept()
        assert set(self._present) == self._used
        for number in self._standing:
            assert lost_in_restore(self._one, number) == set()
