"""A store that the real programs wrote, read by the second reader and compared with the tree that was backed up.

The fixture `real_store` gives a stopped vault: `directory`, `disk_paths`, `password`, `recovery_code`, `source`, and
perhaps `job_id`.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .reader import chunker, erase_key, journal, manifest, record, slot
from .reader.checkpoint import parse_checkpoint
from .reader.companion import open_companion
from .reader.damage import Damage, WrongPassword
from .reader.image import read_catalog
from .reader.manifest import Entry
from .reader.restore import Opened, open_keyrings, restore
from .reader.root import Root, parse_root, verify_signature
from .reader.rows import job_rows, keyring_rows, verify_definition
from .reader.store import Store, open_store

KINDS = {
    stat.S_IFREG: manifest.FILE,
    stat.S_IFDIR: manifest.DIRECTORY,
    stat.S_IFLNK: manifest.SYMBOLIC_LINK,
    stat.S_IFIFO: manifest.FIFO,
    stat.S_IFSOCK: manifest.SOCKET,
    stat.S_IFCHR: manifest.CHARACTER_DEVICE,
    stat.S_IFBLK: manifest.BLOCK_DEVICE,
}


@lru_cache(maxsize=1)
def read_store(disk_paths: tuple[Path, ...], directory: Path) -> Store:
    return open_store(directory, list(disk_paths))


@lru_cache(maxsize=1)
def opened_by_password(store: Store, password: str) -> Opened:
    (opened,) = open_keyrings(store, password)
    return opened


@pytest.fixture
def store(real_store: Any) -> Store:
    return read_store(tuple(real_store.disk_paths), real_store.directory)


@pytest.fixture
def opened(real_store: Any, store: Store) -> Opened:
    return opened_by_password(store, real_store.password)


@pytest.fixture
def newest(real_store: Any, opened: Opened) -> Root:
    return opened.safesets(getattr(real_store, "job_id", None))[-1]


def entry_path(path: Path) -> bytes:
    return os.fsencode(path.absolute()).lstrip(b"/")


def source_paths(source: Path) -> dict[bytes, Path]:
    """By the path that an entry has."""
    found = [source]
    for directory, names, files in os.walk(source):
        found.extend(Path(directory) / name for name in [*names, *files])
    return {entry_path(path): path for path in found}


def entries_of_source(opened: Opened, newest: Root, source: Path) -> dict[bytes, Entry]:
    """The directories above the source may have entries too."""
    top = entry_path(source)
    entries = list(opened.entries(newest))
    above = [entry for entry in entries if entry.path != top and not entry.path.startswith(top + b"/")]
    for entry in above:
        assert entry.kind == manifest.DIRECTORY
        assert entry.path == b"" or top.startswith(entry.path + b"/")
    return {entry.path: entry for entry in entries if entry not in above}


def test_journal_is_one_chain_on_the_first_two_disks(store: Store) -> None:
    journal.check_chain(store.entries, store.entries[0].number, store.entries[0].previous)
    assert store.entries
    copies = [{p.name: p.read_bytes() for p in (disk.path / "journal").iterdir()} for disk in store.disks[:2]]
    assert copies[0] == copies[-1]
    for disk in store.disks[2:]:
        assert not list(disk.path.glob("journal/*.journal"))


def test_checkpoints_hold_what_the_journal_did_up_to_them(store: Store) -> None:
    for path in [path for disk in store.disks for path in disk.path.glob("checkpoints/*.checkpoint")]:
        found = parse_checkpoint(path.read_bytes())
        if store.entries[0].number > 1 or found.number == 0:
            continue
        tables: journal.Tables = {}
        for entry in store.entries[: found.number]:
            journal.apply(tables, entry)
        assert found.entry_hash == store.entries[found.number - 1].hash
        kept = {name: rows for name, rows in tables.items() if rows}
        assert {name: rows for name, rows in found.tables.items() if rows} == kept


def test_the_catalog_is_the_image_of_checkpoint_and_journal(real_store: Any, store: Store) -> None:
    tables, position = read_catalog(real_store.directory / "catalog")
    last = store.entries[-1]
    assert position == (last.timeline, last.number, last.hash)
    filled = {name: rows for name, rows in store.tables.items() if rows}
    assert {name: rows for name, rows in tables.items() if rows} == filled


def test_containers_scan_whole_and_end_as_the_journal_says(store: Store) -> None:
    assert store.scans
    sealed = {e.details["number"] for e in store.entries if e.kind == journal.CONTAINER_SEALED}
    lengths = store.lengths
    for path, scan in store.scans.items():
        assert scan.places or scan.directory is None
        number = scan.header.number
        assert (scan.directory is not None) == (number in sealed) or store.entries[0].number > 1
        assert path.stat().st_size >= lengths.get(number, 0)


def test_every_sealed_container_lists_the_cid_of_each_record(store: Store) -> None:
    for path, scan in store.scans.items():
        data = path.read_bytes()
        for row in scan.directory or []:
            assert record.cid(data[row.offset : row.offset + row.length]) == row.cid


def test_every_record_of_the_keyring_opens(opened: Opened) -> None:
    """Chunks that no safeset uses are opened too."""
    count = 0
    for path, scan in opened.store.scans.items():
        data = path.read_bytes()
        for place in scan.places:
            if place.header.keyring != opened.keyring.id:
                continue
            raw = data[place.offset : place.offset + place.header.length]
            if place.header.type == record.COMPANION:
                open_companion(raw)
            else:
                opened.plaintext(raw, place.header.type)
            count += 1
    assert count


def test_nothing_in_the_catalog_is_damaged(store: Store) -> None:
    assert store.found.damaged == []
    assert store.found.erased == 0


def test_the_row_of_the_keyring_says_what_the_keyring_is(store: Store, opened: Opened) -> None:
    row = keyring_rows(store.tables)[opened.keyring.id]
    keys = opened.keyring.generations[row.generation]
    assert (row.kem, row.public_key) == (keys.kem, keys.public_key)
    assert row.minimum_suite == keys.minimum_suite


def test_every_slot_lies_under_an_erase_key_of_its_own(store: Store, opened: Opened) -> None:
    rows = [(key, msgpack.unpackb(value)) for key, value in store.tables["slots"].items()]
    mine = [(key[32:48], row) for key, row in rows if key[16:32] == opened.keyring.id]
    assert len(mine) == 4
    for slot_id, (named, wrapped, *_) in mine:
        assert (named, wrapped[5], erase_key.wrap_owner(wrapped)) == (slot_id, erase_key.SLOT, slot_id)
        assert store.erase_keys[slot_id].owner_kind == erase_key.SLOT
    assert len({store.erase_keys[slot_id].key for slot_id, _ in mine}) == 2


def test_the_row_of_the_job_is_signed_and_names_the_key_of_its_roots(
    store: Store, opened: Opened, newest: Root
) -> None:
    job = job_rows(store.tables)[newest.job]
    seed = opened.keyring.signing_seed(newest.job, max(opened.keyring.generations))
    assert job.signing_key == Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert (job.computer, job.keyring) == (newest.computer, opened.keyring.id)
    assert job.made < keyring_rows(store.tables)[job.keyring].made
    verify_definition(job)
    with pytest.raises(Damage, match="creator signed"):
        verify_definition(replace(job, definition=[[b"/etc"], *job.definition[1:]]))


def test_both_slots_open_the_same_keyring(real_store: Any, store: Store, opened: Opened) -> None:
    (by_code,) = open_keyrings(store, real_store.recovery_code, slot.RECOVERY_CODE)
    assert by_code.keyring == opened.keyring
    kinds = sorted(found.kind for found in store.found.slots.values() if found.keyring == opened.keyring.id)
    assert kinds == [slot.PASSWORD, slot.RECOVERY_CODE]


def test_another_password_opens_nothing(real_store: Any, store: Store) -> None:
    with pytest.raises(WrongPassword):
        open_keyrings(store, real_store.password + "x")


def test_roots_are_signed_and_follow_one_another(opened: Opened, newest: Root) -> None:
    chain = opened.safesets(newest.job)
    for root in chain:
        verify_signature(root, opened.keyring.signing_seed(root.job, root.generation))
        opened.payload(root)
        assert root.suite >= opened.generation(root).minimum_suite
    first = chain[0]
    assert first.sequence > 1 or first.previous == bytes(32)
    for before, after in zip(chain, chain[1:], strict=False):
        assert after.sequence == before.sequence + 1
        assert after.generation >= before.generation
        assert after.previous == before.hash


def test_a_changed_root_has_a_wrong_signature(opened: Opened, newest: Root) -> None:
    raw = newest.raw[:232] + bytes([newest.raw[232] ^ 1]) + newest.raw[233:]
    with pytest.raises(Damage):
        verify_signature(parse_root(raw), opened.keyring.signing_seed(newest.job, newest.generation))


def test_companions_name_every_record_of_each_safeset(opened: Opened, newest: Root) -> None:
    """From the top companion alone, in clear, as the vault reads it; the walk with keys must use nothing else."""
    named, waiting = {newest.top_block}, [newest.top_companion]
    while waiting:
        found = opened.companion(waiting.pop())
        named.update(found.ids)
        waiting.extend(found.children)
    for one in named:
        opened.store.record(opened.keyring.id, one)
    used = {extent.chunk for entry in opened.entries(newest) for extent in entry.extents}
    assert used <= named


def test_entries_are_the_paths_of_the_source(real_store: Any, opened: Opened, newest: Root) -> None:
    payload = opened.payload(newest)
    assert entry_path(real_store.source) in {path.strip(b"/") for path in payload.includes}
    assert payload.warnings == []
    assert newest.warnings == 0
    assert set(entries_of_source(opened, newest, real_store.source)) == set(source_paths(real_store.source))


def test_metadata_of_every_entry_is_that_of_the_source(real_store: Any, opened: Opened, newest: Root) -> None:
    paths = source_paths(real_store.source)
    for entry in entries_of_source(opened, newest, real_store.source).values():
        path = paths[entry.path]
        found = os.lstat(path)
        assert entry.kind == KINDS[stat.S_IFMT(found.st_mode)], path
        assert (entry.mode, entry.uid, entry.gid) == (found.st_mode & 0o7777, found.st_uid, found.st_gid), path
        assert entry.mtime == found.st_mtime_ns, path
        assert entry.user in (None, name_of_user(found.st_uid)), path
        assert entry.group in (None, name_of_group(found.st_gid)), path
        if entry.kind == manifest.FILE:
            assert entry.size == found.st_size, path
        check_extras(entry, path, found)


def check_extras(entry: Entry, path: Path, found: os.stat_result) -> None:
    target = os.readlink(os.fsencode(path)) if stat.S_ISLNK(found.st_mode) else None
    assert entry.extras.get(manifest.LINK_TARGET) == target, path
    if entry.kind in (manifest.CHARACTER_DEVICE, manifest.BLOCK_DEVICE):
        assert entry.extras[manifest.DEVICE] == [os.major(found.st_rdev), os.minor(found.st_rdev)], path
    attributes = entry.extras.get(manifest.ATTRIBUTES, {})
    names = os.listxattr(path, follow_symlinks=False)
    assert attributes == {os.fsencode(n): os.getxattr(path, n, follow_symlinks=False) for n in names}, path
    assert entry.extras.get(manifest.FLAGS, 0) == 0, path


def name_of_user(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def name_of_group(gid: int) -> str | None:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return None


def test_names_of_one_file_have_the_same_link_set(real_store: Any, opened: Opened, newest: Root) -> None:
    entries = entries_of_source(opened, newest, real_store.source)
    sets: dict[tuple[int, int], list[bytes]] = {}
    for name, path in source_paths(real_store.source).items():
        found = os.lstat(path)
        if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
            sets.setdefault((found.st_dev, found.st_ino), []).append(name)
    for names in sets.values():
        assert len({entries[name].extras.get(manifest.LINK_SET) for name in names}) == 1


def test_every_file_is_restored_byte_for_byte(real_store: Any, opened: Opened, newest: Root) -> None:
    paths = source_paths(real_store.source)
    restored = 0
    for entry in entries_of_source(opened, newest, real_store.source).values():
        if entry.kind != manifest.FILE:
            continue
        assert opened.file_of(newest, entry) == paths[entry.path].read_bytes(), entry.path
        restored += 1
    assert restored


def test_counters_of_the_root_count_the_entries(opened: Opened, newest: Root) -> None:
    entries = list(opened.entries(newest))
    files = sum(entry.kind == manifest.FILE for entry in entries)
    directories = sum(entry.kind == manifest.DIRECTORY for entry in entries)
    assert (newest.files, newest.directories, newest.others) == (files, directories, len(entries) - files - directories)
    once = {e.extras.get(manifest.LINK_SET, e.path): e.size for e in entries if e.kind == manifest.FILE}
    assert newest.protected_bytes == sum(once.values())


def test_large_files_are_cut_where_the_page_says(real_store: Any, opened: Opened, newest: Root) -> None:
    """The first few without holes and under 6 MiB: this chunker is slow."""
    seed = opened.generation(newest).chunker_seed
    large = [
        entry
        for entry in entries_of_source(opened, newest, real_store.source).values()
        if entry.kind == manifest.FILE and 1_048_576 <= entry.size < 6_291_456 and manifest.HOLES not in entry.extras
    ]
    for entry in large[:3]:
        if not entry.extents:
            continue
        assert {extent.offset for extent in entry.extents} == {0}
        data = opened.file_of(newest, entry)
        assert [extent.length for extent in entry.extents] == list(chunker.cut_lengths(data, seed)), entry.path


def test_small_files_lie_in_bundles(opened: Opened, newest: Root) -> None:
    for entry in opened.entries(newest):
        if entry.kind == manifest.FILE and 0 < entry.size < 1_048_576 and entry.extents:
            (extent,) = entry.extents
            assert len(opened.chunk(extent.chunk)) <= 2_097_152
            assert extent.length == entry.size or manifest.HOLES in entry.extras


def test_restore_needs_only_the_directory_and_the_password(real_store: Any) -> None:
    name, path = next((n, p) for n, p in source_paths(real_store.source).items() if p.is_file() and not p.is_symlink())
    assert restore(real_store.directory, real_store.password, name, list(real_store.disk_paths)) == path.read_bytes()
