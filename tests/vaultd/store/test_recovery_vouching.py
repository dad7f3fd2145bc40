"""What recovery believes: the index is only an image, and where the journal says otherwise nothing is cut."""

import msgspec
import pytest

from tests.vaultd.store.fakes import create, make_record, make_settings, now_ns, read, records
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import SystemDoor
from vaultd.store.index import Index, IndexBatch
from vaultd.store.journal_format import EntryKind, JournalEntry

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
