"""A run commits while a collection asks who needs its records: what it leased before is found, what goes is not."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.vaultd.operations.collected_site import Collected, make_collected
from tests.vaultd.operations.small_site import Site
from vaultd.errors import Conflict
from vaultd.operations import safesets
from vaultd.operations.collection import KeyringCollection
from vaultd.operations.safesets import Prepared
from vaultd.store.index.index import Index

PATIENCE_SECONDS = 20
# A commit that does not wait for the end of the question has looked by then.
LOOK_SECONDS = 0.5


@pytest.fixture
def collected(site: Site) -> Collected:
    collected = make_collected(site)
    collected.run(collected.chunk())
    return collected


class Commit:
    """Of a safeset of this chunk, in a thread of its own; `found` is what came of its check."""

    def __init__(self, collected: Collected, chunk: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        leaf, payload = collected.tree(chunk)
        root = collected.job.sealer.root(leaf, payload, sequence=len(collected.roots) + 1, previous=collected.head)
        words = collected.site.vault, collected.job.agent.identity, collected.job.sealer.run_id, root, payload
        self.found: list[object] = []
        self._looked = threading.Event()
        self._thread = threading.Thread(target=self._prepare, args=words)
        present = Index.present

        def seen(*given: Any) -> set[bytes]:
            result = present(*given)
            if threading.current_thread() is self._thread:
                self._looked.set()
            return result

        monkeypatch.setattr(Index, "present", seen)

    def look(self) -> None:
        self._thread.start()
        self._looked.wait(LOOK_SECONDS)

    def end(self) -> object:
        self._thread.join(PATIENCE_SECONDS)
        (found,) = self.found
        return found

    def _prepare(self, *words: Any) -> None:
        try:
            self.found.append(safesets.prepare(*words))
        except Conflict as error:
            self.found.append(error)


def marked(collected: Collected) -> KeyringCollection:
    one = collected.collection()
    one.begin()
    for _ in one.mark():
        pass
    return one


def drop(one: KeyringCollection, collected: Collected, ask: Callable[[Sequence[bytes]], list[bool]]) -> int:
    (rows,) = one.sweep()
    return len(collected.site.vault.store.house.drop(collected.keyring_id, rows, one._newest, ask))


def test_what_a_run_leased_is_there_while_a_drop_asks_for_it(
    collected: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk = collected.chunk()
    collected.begin()
    assert collected.offer(chunk) == [True]
    collected.send(chunk)
    commit, one = Commit(collected, chunk, monkeypatch), marked(collected)

    def ask(ids: Sequence[bytes]) -> list[bool]:
        assert chunk in ids
        commit.look()
        return one._are_needed(ids)

    assert drop(one, collected, ask) == 0
    assert isinstance(commit.end(), Prepared)
    assert collected.is_there(chunk)


def test_what_nobody_leased_before_the_drop_asked_is_missing(
    collected: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit names what its run neither offered nor sent."""
    chunk = collected.chunk()
    collected.run(chunk)
    collected.run(collected.chunk())
    collected.purge(2)
    collected.begin()
    commit, one = Commit(collected, chunk, monkeypatch), marked(collected)

    def ask(ids: Sequence[bytes]) -> list[bool]:
        needed = one._are_needed(ids)
        assert not needed[ids.index(chunk)]
        commit.look()
        return needed

    assert drop(one, collected, ask) > 0
    assert isinstance(commit.end(), Conflict)
    assert not collected.is_there(chunk)
