"""What recovery believes: the index is only an image, and where the journal says otherwise nothing is cut."""

import msgspec
import pytest

from tests.vaultd.store.fakes import (
    KEYRING,
    create,
    flip,
    make_id,
    make_record,
    make_settings,
    now_ns,
    read,
    records,
    reopen,
)
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import SystemDoor
from vaultd.store.index.index import Index
from vaultd.store.index_rows import IndexBatch
from vaultd.store.journal.format import EntryKind, JournalEntry

SIZE = 20_000
CONTAINER = "disk0/containers/0000/000000000001.container"


def entry(number):
    return JournalEntry(EntryKind.catalog, {}, [("t", b"%d" % number, b"x" * 700)])


@pytest.mark.parametrize("entries", [1, 1100])
def test_acknowledged_bytes_are_not_cut_when_the_index_forgets_them(tmp_path, entries):
    """The checksum of the row holds here: only the journal knows better."""
    settings = make_settings(tmp_path)
    store = create(settings)
    store.append(0, records(1, size=SIZE))
    store.commit()
    store.commit([entry(number) for number in range(entries)])
    store.close()
    before = (tmp_path / CONTAINER).read_bytes()
    index = Index.open(settings.index_path, settings.vault_id)
    (row,) = index.containers().values()
    index.apply(IndexBatch(containers=[msgspec.structs.replace(row, acknowledged_length=8192, indexed_length=8192)]))
    index.close()
    store = ChunkStore.open(settings, SystemDoor(), now_ns)
    report = store.recover(lambda key: True)
    assert any("the index acknowledges 8192 bytes of it, the journal" in item.sentence for item in report.findings)
    assert (tmp_path / CONTAINER).read_bytes() == before
    assert read(store, 1) == make_record(1, SIZE)


@pytest.mark.parametrize("disks", [1, 2])
def test_a_damaged_old_segment_of_the_journal_keeps_no_vault_from_starting(tmp_path, disks):
    """It was applied long ago; what it says about the container that is open since then is all that is lost."""
    settings = make_settings(tmp_path, disks=disks, journal_segment_bytes=4096, container_bytes=1 << 20)
    store = create(settings)
    for number in range(12):
        store.append(0, records(number))
        store.commit([entry(number)])
    store.close()
    for disk in range(disks):
        segments = sorted((tmp_path / f"disk{disk}/journal").iterdir())
        flip(segments[1], 1500)
    before = (tmp_path / CONTAINER).read_bytes()
    for start in range(2):
        store = ChunkStore.open(settings, SystemDoor(), now_ns)
        report = store.recover(lambda key: True)
        (finding,) = [item for item in report.findings if "container" in item.place]
        assert "what the journal says about it cannot be read" in finding.sentence
        assert [read(store, number) for number in range(12)] == [make_record(number) for number in range(12)]
        store.append(0, records(100 + start))
        store.commit()
        assert read(store, 100 + start) == make_record(100 + start)
        store.close()
    assert (tmp_path / CONTAINER).read_bytes() == before


@pytest.mark.parametrize("hit", ["header", "headers of two", "body", "the end is gone"])
def test_what_recovery_names_as_lost_is_missing_at_once_and_heals(tmp_path, hit):
    """In an open container; after a hit in the header only the index knows whose record that was."""
    settings = make_settings(tmp_path, container_bytes=1 << 20)
    store = create(settings)
    store.append(0, records(1, 2, 3, 4))
    store.commit()
    store.close()
    path = tmp_path / CONTAINER
    data = path.read_bytes()
    lost = {"header": [2], "headers of two": [2, 3], "body": [2], "the end is gone": [3, 4]}[hit]
    if hit == "the end is gone":
        path.write_bytes(data[: data.index(make_record(3)) + 50])
    else:
        for seed in lost:
            flip(path, data.index(make_record(seed)) + (100 if hit == "body" else 20))
    store = reopen(settings)
    ids = [make_id(seed) for seed in range(1, 5)]
    assert store.missing(KEYRING, ids) == [seed in lost for seed in range(1, 5)]
    store.append(0, records(*lost))
    store.commit()
    store.close()
    store = reopen(settings)
    assert store.missing(KEYRING, ids) == [False] * 4
    assert [read(store, seed) for seed in range(1, 5)] == [make_record(seed) for seed in range(1, 5)]


def test_acknowledged_bytes_are_not_cut_when_the_journal_forgets_them(tmp_path):
    settings = make_settings(tmp_path)
    store = create(settings)
    store.append(0, records(1, size=SIZE))
    store.commit()
    store.close()
    path = tmp_path / CONTAINER
    before = path.read_bytes() + bytes(4096)
    path.write_bytes(before)
    index = Index.open(settings.index_path, settings.vault_id)
    (row,) = index.containers().values()
    more = msgspec.structs.replace(row, acknowledged_length=len(before), indexed_length=len(before))
    index.apply(IndexBatch(containers=[more]))
    index.close()
    for _ in range(2):
        reopen(settings).close()
        assert path.read_bytes() == before
