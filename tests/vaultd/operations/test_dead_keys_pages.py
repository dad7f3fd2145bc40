"""A keyring has a key of each run that ever was: what is held of them at once does not grow with their number."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.vaultd.operations.small_site import BackedUp, Site
from tests.vaultd.operations.test_dead_keys import flip_rows
from vaultd.catalog.database import Catalog, View
from vaultd.operations import dead_keys
from vaultd.operations.dead_keys import Judged

PAGE = 4


@dataclass
class Held:
    """Rows of run keys that were read and not tried yet, and views that are open."""

    views: int = 0
    rows_of_view: int = 0
    rows_of_view_max: int = 0
    rows: int = 0
    rows_max: int = 0
    tried: int = 0


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    held = Held()
    read, scan, get, opens = Catalog.read, View.scan, View.get, dead_keys._key_opens

    @contextmanager
    def counted_read(catalog: Catalog) -> Iterator[View]:
        held.views, held.rows_of_view = held.views + 1, 0
        try:
            with read(catalog) as view:
                yield view
        finally:
            held.views -= 1

    def counted_scan(view: View, table: str, *arguments: Any) -> Iterator[tuple[bytes, bytes]]:
        for row in scan(view, table, *arguments):
            held.rows_of_view += table == "run_keys"
            held.rows_of_view_max = max(held.rows_of_view, held.rows_of_view_max)
            yield row

    def counted_get(view: View, table: str, key: bytes) -> bytes | None:
        held.rows += table == "run_keys"
        held.rows_max = max(held.rows, held.rows_max)
        return get(view, table, key)

    def counted_opens(*arguments: Any) -> bool | None:
        assert not held.views, "no transaction stays open while keys are tried"
        held.rows, held.tried = held.rows - 1, held.tried + 1
        return opens(*arguments)

    monkeypatch.setattr(dead_keys, "KEYS_PAGE", PAGE)
    monkeypatch.setattr(Catalog, "read", counted_read)
    monkeypatch.setattr(View, "scan", counted_scan)
    monkeypatch.setattr(View, "get", counted_get)
    monkeypatch.setattr(dead_keys, "_key_opens", counted_opens)
    return held


def key_ids_of_runs(site: Site, backed_up: BackedUp, count: int) -> set[bytes]:
    ids = {backed_up.sealer.key_id}
    while len(ids) < count:
        site.begin(backed_up)
        ids.add(backed_up.sealer.key_id)
    return ids


def judge_all(site: Site, backed_up: BackedUp) -> list[Judged]:
    pages: list[Judged] = []
    start: bytes | None = b""
    while start is not None:
        pages.append(dead_keys.judge_keys(site.vault, backed_up.agent.identity, backed_up.job.job_id, start))
        start = pages[-1].next
    return pages


@pytest.mark.parametrize("count", [1, PAGE, 5 * PAGE + 1])
def test_what_is_held_of_the_keys_does_not_grow_with_their_number(site: Site, count: int, held: Held) -> None:
    backed_up = site.ready()
    ids = key_ids_of_runs(site, backed_up, count)
    site.vault.judged_keys.clear()
    held.rows = held.rows_max = held.rows_of_view_max = 0
    pages = judge_all(site, backed_up)
    assert all((page.dead, page.back) == ([], []) for page in pages)
    assert held.tried == count
    assert held.rows_max <= PAGE
    assert held.rows_of_view_max <= PAGE
    assert site.vault.judged_keys == ids
    judge_all(site, backed_up)
    assert held.tried == count, "what opened once is not read and tried again"
    assert held.rows == 0


def test_keys_of_every_page_are_given_up_and_taken_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_keys, "KEYS_PAGE", PAGE)
    backed_up = site.ready()
    ids = key_ids_of_runs(site, backed_up, 3 * PAGE - 1)
    identity, job_id = backed_up.agent.identity, backed_up.job.job_id
    site.vault.judged_keys.clear()
    flip_rows(site, "run_keys", 3)
    dead: list[bytes] = []
    for page in judge_all(site, backed_up):
        assert len(page.dead) <= PAGE
        dead_keys.settle_keys(site.vault, identity, job_id, page)
        dead += page.dead
    assert (len(dead), set(dead)) == (len(ids), ids)
    flip_rows(site, "run_keys", 3)
    assert [key_id for page in judge_all(site, backed_up) for key_id in page.back] == sorted(ids)


def test_how_many_keys_are_known_as_judged_has_a_limit(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_keys, "JUDGED_KEYS_MAX", 3)
    backed_up = site.ready()
    key_ids_of_runs(site, backed_up, 8)
    assert all((page.dead, page.back) == ([], []) for page in judge_all(site, backed_up))
    assert len(site.vault.judged_keys) <= 3
