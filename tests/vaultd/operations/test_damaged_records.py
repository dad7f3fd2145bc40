"""A record of the base that is found damaged: the next safeset does not lean on it, and the run after heals it."""

import os

import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import Site
from vaultd.errors import Conflict
from vaultd.store.errors import RecordDamaged


@pytest.mark.parametrize("which", ["chunk", "companion"])
def test_a_damaged_record_of_the_base_is_missing_and_sent_again(site: Site, which: str) -> None:
    backed_up = site.ready()
    content = os.urandom(50)
    chunk = backed_up.sealer.record(DATA, content)
    leaf = backed_up.sealer.leaf([chunk])
    site.upload(backed_up, chunk, *leaf)
    payload = backed_up.sealer.payload(leaf)
    first = backed_up.sealer.root(leaf, payload)
    site.commit(backed_up, first, payload)
    hash_ = blake3(first).digest()
    hit = chunk if which == "chunk" else leaf[1]
    (path,) = site.config.directory.glob("disk-*/containers/*/*")
    at = path.read_bytes().index(hit) + len(hit) - 1
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)

    store, keyring_id = site.vault.store, backed_up.sealer.keyring_id
    (location,) = store.locate(keyring_id, [id_of(hit)])
    assert location is not None
    with pytest.raises(RecordDamaged):
        store.read(location, id_of(hit))
    site.begin(backed_up, base=hash_)
    assert store.missing(keyring_id, [id_of(hit)]) == [True]
    payload = backed_up.sealer.payload(leaf)
    second = backed_up.sealer.root(leaf, payload, sequence=2, previous=hash_)
    with pytest.raises(Conflict, match="1 records that the safeset uses are missing"):
        site.commit(backed_up, second, payload)

    assert not site.begin(backed_up, base=hash_).base_known
    again = backed_up.sealer.record(DATA, content) if which == "chunk" else hit
    site.upload(backed_up, again)
    payload = backed_up.sealer.payload(leaf)
    second = backed_up.sealer.root(leaf, payload, sequence=2, previous=hash_)
    site.commit(backed_up, second, payload)
    (location,) = store.locate(keyring_id, [id_of(hit)])
    assert location is not None
    assert store.read(location, id_of(hit)) == again
