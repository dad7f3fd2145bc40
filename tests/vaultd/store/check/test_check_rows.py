"""Rows of the index that lead to nothing good: one finding for each reason and container, however many there are."""

import errno
import os

import lmdb
import pytest

from tests.vaultd.store.fakes import KEY, KEYRING, VAULT, create, make_id, make_settings, records
from vaultd.store.check.check import check_store
from vaultd.store.disk_door import SystemDoor
from vaultd.store.index.index import Index
from vaultd.store.index_rows import IndexBatch, IndexRecord

COUNT = 1_000
HEADER_BYTES = 84
UNKNOWN_CONTAINER = 99
FAR_BYTES = 1 << 30


@pytest.fixture
def settings(tmp_path):
    """One container with ten records."""
    made = make_settings(tmp_path)
    store = create(made)
    store.append(0, records(*range(10)))
    store.commit()
    store.close()
    return made


def add_rows(settings, *places, length=184):
    """COUNT rows, which lie at these containers and offsets in turn."""
    index = Index.open(settings.index_path, VAULT)
    rows = []
    for number in range(COUNT):
        container, offset = places[number % len(places)]
        id_ = make_id(1_000 + number)
        rows.append(IndexRecord(KEYRING, id_, KEY, container, offset, length, 1, bytes(32)))
    index.apply(IndexBatch(records=rows))
    index.close()


def change_rows(settings, change):
    with lmdb.open(str(settings.index_path), max_dbs=8) as environment:
        database = environment.open_db(b"records", create=False)
        with environment.begin(write=True, db=database) as transaction:
            for key, value in list(transaction.cursor(database)):
                transaction.put(key, change(bytearray(value)))


class NoHeaders(SystemDoor):
    """The disk dies between the look through the containers and that at the rows, which reads header by header."""

    def read(self, handle, offset, length):
        if handle.path.suffix == ".container" and length == HEADER_BYTES:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(handle.path))
        return super().read(handle, offset, length)


def told(settings):
    return [finding.sentence for finding in check_store(settings, SystemDoor(), read_data=False).findings]


def test_rows_of_a_container_that_the_journal_does_not_know_are_one_finding(settings):
    add_rows(settings, (UNKNOWN_CONTAINER, 4096), (UNKNOWN_CONTAINER + 1, 8192))
    first, second = told(settings)
    assert {first, second} == {
        "container 000000000063 is not in the journal; 500 records of the index lie in it",
        "container 000000000064 is not in the journal; 500 records of the index lie in it",
    }


def test_rows_outside_of_what_was_acknowledged_are_one_finding(settings):
    add_rows(settings, (1, 0), (1, FAR_BYTES), (1, 4090))
    (sentence,) = told(settings)
    assert sentence.startswith(
        "rows lead to places in container 000000000001 that were not acknowledged; it hits 1,000 records: "
    )
    assert sentence.endswith(" and 997 more")


def test_rows_whose_checksums_do_not_hold_are_one_finding(settings):
    add_rows(settings, (UNKNOWN_CONTAINER, 4096))

    def spoil(value):
        value[9] ^= 1
        return bytes(value)

    change_rows(settings, spoil)
    (sentence,) = told(settings)
    assert sentence.startswith("rows do not hold their checksums; it hits 1,010 records: ")


def test_rows_that_lead_to_other_records_are_told_up_to_a_limit(settings, tmp_path):
    """The others are counted."""
    path = tmp_path / "disk0/containers/0000/000000000001.container"
    start = path.read_bytes().index(make_id(1)) - 40
    add_rows(settings, *((1, start + at) for at in range(1, 150)), length=1)
    sentences = told(settings)
    assert len(sentences) == 101
    # Of the 149 places 100 are told one by one; each is that of 6 or 7 rows.
    (more,) = [one for one in sentences if one.startswith("more than 100 places ")]
    count = int(more.removesuffix(" records of the index lie in it").rpartition(" ")[2])
    assert 49 * 6 <= count <= 49 * 7


def test_rows_of_a_container_that_is_gone_are_told_with_it(settings, tmp_path):
    """Also those that the index marks as damaged."""
    (path,) = (tmp_path / "disk0").rglob("*.container")
    index = Index.open(settings.index_path, VAULT)
    ids = [make_id(seed) for seed in range(5)]
    index.apply(IndexBatch(damaged=list(zip(ids, index.lookup(KEYRING, ids), strict=True))))
    index.close()
    path.unlink()
    assert told(settings) == ["the container is gone; 10 records of the index lie in it"]


def test_rows_that_are_marked_are_one_finding(settings):
    index = Index.open(settings.index_path, VAULT)
    ids = [make_id(seed) for seed in range(8)]
    index.apply(IndexBatch(damaged=list(zip(ids, index.lookup(KEYRING, ids), strict=True))))
    index.close()
    (sentence,) = told(settings)
    assert sentence.startswith(
        "records in container 000000000001 were found damaged, or their run keys do not open; "
        "the next run that needs such a record sends it again; it hits 8 records: "
    )
    assert sentence.endswith(" and 5 more")


def test_rows_of_a_container_that_cannot_be_read_any_more_are_one_finding(settings):
    report = check_store(settings, NoHeaders(), read_data=False)
    (finding,) = report.findings
    assert finding.sentence.startswith("the disk cannot be read: ")
    assert finding.sentence.endswith("; 10 records of the index lie in it")
    assert report.unchecked == ["what cannot be read of 1 container"]
