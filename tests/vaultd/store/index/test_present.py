"""Which ids count as there: what a full look at a row would refuse, the quick one refuses too."""

import struct

import pytest

from tests.vaultd.store.fakes import KEY, KEYRING, VAULT, make_id
from vaultd.store.index.index import Index
from vaultd.store.index_rows import IndexBatch, IndexRecord, Location

OTHER_KEY = b"o" * 16


def row(seed, container=1, key=KEY):
    return IndexRecord(KEYRING, make_id(seed), key, container, 4096 + seed, 100 + seed, 1, bytes([seed]) * 32)


def ids(*seeds):
    return [make_id(seed) for seed in seeds]


@pytest.fixture
def index(tmp_path):
    """1 in container 1, 2 in container 2, 3 under another key."""
    index = Index.open(tmp_path / "index", VAULT)
    index.apply(IndexBatch(records=[row(1), row(2, container=2), row(3, key=OTHER_KEY)]))
    yield index
    index.close()


def flag(index):
    index.apply(IndexBatch(damaged=[(make_id(2), Location(1, 2, 4098, 102, 1, False, 1, bytes([2]) * 16))]))
    return {2}


def give_container_up(index):
    index.give_up([2])
    return {2}


def give_key_up(index):
    index.give_up_keys(KEYRING, [OTHER_KEY])
    return {3}


def distrust_key(index):
    index.distrust_keys(index.key_numbers([(KEYRING, OTHER_KEY)]))
    return {3}


@pytest.mark.parametrize("lose", [flag, give_container_up, give_key_up, distrust_key])
def test_what_is_lost_is_not_there(index, lose):
    assert index.present(KEYRING, ids(1, 2, 3, 4)) == set(ids(1, 2, 3))
    lost = lose(index)
    assert index.present(KEYRING, ids(1, 2, 3, 4)) == {make_id(seed) for seed in {1, 2, 3} - lost}
    assert index.held(KEYRING, ids(1, 2, 3, 4)) == {make_id(seed): seed not in lost for seed in (1, 2, 3)}


def test_ids_that_repeat_are_told_once(index):
    assert index.held(KEYRING, ids(2, 1, 2, 2)) == dict.fromkeys(ids(1, 2), True)
    assert index.present(KEYRING, ids(2, 4, 2, 4, 3)) == set(ids(2, 3))


def test_a_flag_stands_in_the_row_and_nothing_else_changes(index, tmp_path):
    """Byte 17 of the value, docs/format.md#index."""
    (before,) = index.lookup(KEYRING, ids(2))
    flag(index)
    (after,) = index.lookup(KEYRING, ids(2))
    assert after == before._replace(is_damaged=True)
    with index._reading() as transaction:
        value = transaction.get(struct.pack(">I", 1) + make_id(2), db=index._records)
    assert value[17] == 1
