"""A damaged or missing record is named in one finding of the check, with every job and safeset that uses it.

Which record is used by which safeset is what the test put there.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from blake3 import blake3

from tests.vaultd.operations.rich_site import Rich
from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import BackedUp, Site
from vaultd.operations.check import check_vault
from vaultd.operations.rebuild import rebuild_vault
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.index.reading_progress import tell_nobody

JOB = "account acme, computer laptop, job home"
KINDS = ("chunk", "block", "companion", "payload")


@dataclass
class Filled:
    """Safesets 1, 2 and 3 of one job: what is in `records` is used by the first two, but the payload by the first only.
    Another account has a safeset of its own. Stopped.
    """

    site: Site
    records: dict[str, bytes]

    def flip(self, kind: str, at: int) -> None:
        record = self.records[kind]
        path, begin = self.find(record)
        data = bytearray(path.read_bytes())
        data[begin + at % len(record)] ^= 1
        path.write_bytes(data)

    def find(self, record: bytes) -> tuple[Path, int]:
        for path in self.site.config.directory.glob("disk-*/containers/*/*"):
            if record in path.read_bytes():
                return path, path.read_bytes().index(record)
        raise AssertionError

    def told(self, *, read_data: bool = True) -> list[tuple[str, str]]:
        report = check_vault(self.site.config, SystemDoor(), read_data=read_data)
        return [(one.place, one.sentence) for one in report.findings if one.severity.value == "damage"]


@pytest.fixture
def filled(site: Site) -> Iterator[Filled]:
    other = site.ready(site.administrator("other"), "desk")
    commit(site, other, other.sealer.record(DATA, b"of another"))
    job = site.ready()
    shared = job.sealer.record(DATA, b"shared" * 100)
    leaf = job.sealer.leaf([shared])
    site.upload(job, shared, *leaf)
    first, head = commit_leaf(site, job, leaf, 1, bytes(32))
    _, head = commit_leaf(site, job, leaf, 2, head)
    new = job.sealer.record(DATA, b"new")
    later = job.sealer.leaf([new])
    site.upload(job, new, *later)
    commit_leaf(site, job, later, 3, head)
    close_vault(site.vault)
    yield Filled(site, dict(zip(KINDS, (shared, *leaf, first), strict=True)))
    site.vault = open_vault(site.config, site.clock, SystemDoor())


def commit(site: Site, job: BackedUp, chunk: bytes) -> None:
    leaf = job.sealer.leaf([chunk])
    site.upload(job, chunk, *leaf)
    commit_leaf(site, job, leaf, 1, bytes(32))


def commit_leaf(
    site: Site, job: BackedUp, leaf: tuple[bytes, bytes], sequence: int, previous: bytes
) -> tuple[bytes, bytes]:
    """The payload, and the root's hash."""
    if sequence > 1:
        site.begin(job)
    payload = job.sealer.payload(leaf)
    root = job.sealer.root(leaf, payload, sequence=sequence, previous=previous)
    site.commit(job, root, payload)
    return payload, blake3(root).digest()


def users(kind: str) -> tuple[str, set[str]]:
    if kind == "payload":
        return f"{JOB}, safeset 1", {f"{JOB}, safeset 1"}
    return f"{JOB}, safesets 1-2", {f"{JOB}, safeset 1", f"{JOB}, safeset 2"}


@pytest.mark.parametrize("read_data", [False, True])
@pytest.mark.parametrize("part", ["header", "body"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_record_is_named_once_with_all_that_use_it(
    filled: Filled, kind: str, part: str, *, read_data: bool
) -> None:
    filled.flip(kind, 45 if part == "header" else -1)
    told = filled.told(read_data=read_data)
    if part == "body" and kind in ("chunk", "block") and not read_data:
        assert told == []
        return
    record = filled.records[kind]
    path, _ = filled.find(record[:40])
    used_by, places = users(kind)
    (named,) = [one for one in told if id_of(record).hex() in one[1]]
    assert named[0] == str(path)
    assert named[1].startswith(f"record {id_of(record).hex()} at offset ")
    assert f", {len(record)} bytes, is damaged: " in named[1]
    assert named[1].endswith(f"; used by {used_by}")
    assert {place for place, _ in told} - {str(path)} == places
    assert len(told) == 1 + len(places)


def test_where_the_list_of_what_is_used_is_damaged_too_it_may_be_used(filled: Filled) -> None:
    filled.flip("chunk", -1)
    filled.flip("companion", -1)
    told = filled.told()
    (chunk,) = [sentence for _, sentence in told if id_of(filled.records["chunk"]).hex() in sentence]
    (companion,) = [sentence for _, sentence in told if id_of(filled.records["companion"]).hex() in sentence]
    assert chunk.endswith(f"; may be used by {JOB}, safesets 1-2: what they use cannot be looked up to its end")
    assert companion.endswith(f"; used by {JOB}, safesets 1-2")


def test_what_records_of_two_keyrings_have_in_common_may_be_used_by_both(site: Site) -> None:
    """Both were marked as damaged in one container, and the lists of what their safesets use are damaged too."""
    places = {}
    for account, computer in (("acme", "laptop"), ("other", "desk")):
        job = site.ready(site.administrator(account), computer)
        chunk = job.sealer.record(DATA, account.encode())
        leaf = job.sealer.leaf([chunk])
        site.upload(job, chunk, *leaf)
        commit_leaf(site, job, leaf, 1, bytes(32))
        (location,) = site.vault.store.locate(job.sealer.keyring_id, [id_of(chunk)])
        assert location is not None
        site.vault.store._notes.note_damage(id_of(chunk), location)
        site.vault.store.commit()
        places[f"account {account}, computer {computer}, job home, safeset 1"] = leaf[1]
    close_vault(site.vault)
    filled = Filled(site, places)
    for place in places:
        filled.flip(place, -1)
    (marked,) = [sentence for _, sentence in filled.told() if sentence.startswith("records in container ")]
    assert "; it hits 2 records: " in marked
    assert all(place in marked.partition("; may be used by ")[2] for place in places)
    site.vault = open_vault(site.config, site.clock, SystemDoor())


def test_without_an_index_all_safesets_of_the_keyring_may_use_it(filled: Filled) -> None:
    filled.flip("chunk", -1)
    shutil.rmtree(filled.site.config.directory / "index")
    ((_, sentence),) = filled.told()
    assert sentence.endswith(f"; may be used by {JOB}, safesets 1-3: what they use cannot be looked up to its end")


def test_without_a_catalog_it_says_that_it_is_not_known(filled: Filled) -> None:
    filled.flip("chunk", -1)
    shutil.rmtree(filled.site.config.directory / "catalog")
    ((_, sentence),) = filled.told()
    assert sentence.startswith(f"record {id_of(filled.records['chunk']).hex()} at offset ")
    assert sentence.endswith("; which safesets use it is not known")


@pytest.mark.parametrize("read_data", [False, True])
def test_a_file_that_was_cut_has_one_finding_with_its_records(filled: Filled, *, read_data: bool) -> None:
    path, at = filled.find(filled.records["payload"])
    size = path.stat().st_size
    os.truncate(path, at + 10)
    (of_file,) = [sentence for place, sentence in filled.told(read_data=read_data) if place == str(path)]
    assert of_file.startswith(f"it has {at + 10} bytes of {size} that were acknowledged; it hits ")
    assert of_file.endswith(f"; used by {JOB}, safesets 1-3")


def test_a_place_whose_record_nobody_knows_any_more_is_not_called_unused(filled: Filled) -> None:
    """A new index leaves out what it could not read, and only the header said what it was."""
    filled.flip("chunk", 45)
    shutil.rmtree(filled.site.config.directory / "index")
    rebuild_vault(filled.site.config, filled.site.clock, SystemDoor(), tell_nobody, index_only=True)
    told = filled.told()
    path, at = filled.find(filled.records["chunk"][:40])
    (place,) = [sentence for where, sentence in told if where == str(path)]
    assert f"at offset {at}" in place
    assert place.endswith("; which records lay there is not known: they may be among those that are missing")
    (missing,) = [sentence for _, sentence in told if id_of(filled.records["chunk"]).hex() in sentence]
    assert missing.endswith(f"; used by {JOB}, safesets 1-2")


def test_damage_that_hits_no_record_is_used_by_nobody(filled: Filled) -> None:
    """Of the padding behind a group."""
    path, at = filled.find(filled.records["payload"])
    data = bytearray(path.read_bytes())
    data[-(-(at + len(filled.records["payload"])) // 4096) * 4096 - 1] ^= 1
    path.write_bytes(data)
    ((where, sentence),) = filled.told()
    assert where == str(path)
    assert sentence.endswith("; no safeset uses it")


def test_a_record_of_a_sealed_container_is_named_once(rich: Rich) -> None:
    job = rich.jobs[0]
    records = [one for id_, one in rich.contents.items() if rich.keyring_of[id_] == job.sealer.keyring_id]
    filled = Filled(rich.site, {"first": records[0]})
    path, at = filled.find(records[0])
    assert path.name.endswith("1.container")
    assert b"SSD1" in path.read_bytes(), "it is sealed"
    filled.flip("first", -1)
    (named,) = [one for one in filled.told() if id_of(records[0]).hex() in one[1]]
    why = "its bytes do not hold the directory's cid"
    sentence = f"record {id_of(records[0]).hex()} at offset {at}, {len(records[0])} bytes, is damaged: {why}"
    assert named == (str(path), f"{sentence}; used by {JOB}, safeset 1")


def test_what_was_sent_again_is_used_by_nobody(rich: Rich) -> None:
    """The damaged bytes stay in their container."""
    told = Filled(rich.site, {}).told()
    assert [sentence for _, sentence in told if rich.sent_again.hex() in sentence] == []
    report = check_vault(rich.site.config, SystemDoor(), read_data=True)
    (named,) = [one for one in report.findings if rich.sent_again.hex() in one.sentence]
    assert (named.severity.value, "took its place and are whole" in named.sentence) == ("note", True)
    (named,) = [sentence for _, sentence in told if rich.damaged.hex() in sentence]
    assert named.endswith("; no safeset uses it")
