"""So many records wait for one commit and no more: the pages of the index that they change are memory until then."""

import pytest

from tests.vaultd.store.fakes import KEYRING, create, make_id, make_record, make_settings, read, records, reopen
from vaultd.store import chunk_store


@pytest.fixture
def applied(monkeypatch):
    """How many records each transaction of the index had."""
    counts = []
    apply = chunk_store.ChunkStore._apply

    def counting(store, *arguments):
        counts.append(len(store._pending.rows))
        apply(store, *arguments)

    monkeypatch.setattr(chunk_store.ChunkStore, "_apply", counting)
    monkeypatch.setattr(chunk_store, "PENDING_RECORDS_MAX", 4)
    return counts


def missing(store, count):
    return store.missing(KEYRING, [make_id(seed) for seed in range(count)])


def test_what_is_above_the_bound_is_committed_on_the_way(tmp_path, applied):
    settings = make_settings(tmp_path)
    store = create(settings)
    assert store.append(0, records(*range(10))).records == 10
    assert missing(store, 10) == [False] * 8 + [True] * 2
    assert store.append(0, records(*range(8, 13))).records == 3
    store.commit()
    assert applied == [4, 4, 4, 1]
    store.close()
    store = reopen(settings)
    assert [read(store, seed) for seed in range(13)] == [make_record(seed) for seed in range(13)]


def test_what_was_not_committed_on_the_way_is_cut(tmp_path, applied):
    settings = make_settings(tmp_path)
    store = create(settings)
    store.append(0, records(*range(6)))
    store.close()
    assert missing(reopen(settings), 6) == [False] * 4 + [True] * 2


def test_a_transaction_of_the_index_stays_below_a_few_dozen_mebibytes():
    """In the worst case each record changes a page of its own: docs/performance.md."""
    assert chunk_store.PENDING_RECORDS_MAX * 4096 <= 32 << 20
