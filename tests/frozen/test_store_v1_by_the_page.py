"""The reader that was written from docs/format.md alone finds in the frozen store all that the sources were."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.later_agent import LARGE_VALUE, STREAMS
from tests.frozen.frozen_store import STORE, expected, recovery_code, safesets, unpack
from tests.frozen.listing import digest
from tests.independent.reader import journal, manifest, slot
from tests.independent.reader.hashing import keyed
from tests.independent.reader.manifest import Entry
from tests.independent.reader.restore import Opened, open_keyrings
from tests.independent.reader.root import Root
from tests.independent.reader.store import Store, open_store

TOP = b"srv/safeset-store-v1/"
KINDS = {
    manifest.FILE: "file", manifest.DIRECTORY: "directory", manifest.SYMBOLIC_LINK: "link", manifest.FIFO: "fifo",
    manifest.SOCKET: "socket", manifest.CHARACTER_DEVICE: "character device", manifest.BLOCK_DEVICE: "block device",
    manifest.REPARSE_POINT: "reparse point",
}  # fmt: skip
SUITES = {"plain": 1, "kinds": 2, "unread": 2}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    directory = tmp_path_factory.mktemp("frozen")
    unpack(directory)
    return open_store(directory / "vault")


@pytest.fixture(scope="module")
def opened(store: Store) -> dict[str, Opened]:
    """By the job whose password opens it; `later` has no keyring yet."""
    found = {}
    for job in SUITES:
        (found[job],) = open_keyrings(store, (STORE / f"{job}.password").read_text().strip())
    return found


def safeset(opened: Opened, number: int) -> Root:
    (root,) = [root for root in opened.safesets() if root.sequence == number]
    return root


def described(opened: Opened, root: Root, entry: Entry) -> dict[str, Any]:
    """In the words of the listing, as far as it has them."""
    found: dict[str, Any] = {
        "kind": KINDS[entry.kind], "mode": entry.mode, "uid": entry.uid, "gid": entry.gid, "mtime_ns": entry.mtime,
    }  # fmt: skip
    extras = dict(entry.extras)
    flags = extras.get(manifest.FLAGS, 0)
    if entry.kind == manifest.FILE:
        found["size"] = entry.size
        if not flags & manifest.NOT_READ:
            found["sha256"] = digest(opened.file_of(root, entry))
    if manifest.LINK_TARGET in extras:
        found["target"] = os.fsdecode(extras[manifest.LINK_TARGET])
    if manifest.DEVICE in extras:
        found["device"] = extras[manifest.DEVICE]
    if manifest.NAMES in extras:
        found |= {"names": extras[manifest.NAMES], "set": extras[manifest.LINK_SET]}
    if manifest.HOLES in extras:
        flat = extras[manifest.HOLES]
        found["holes"] = [list(pair) for pair in zip(flat[::2], flat[1::2], strict=True)]
    inline = {name: value for name, value in extras.get(manifest.ATTRIBUTES, {}).items() if isinstance(value, bytes)}
    if inline:
        found["attributes"] = {os.fsdecode(n): [len(value), digest(value)] for n, value in inline.items()}
    return found


def plain(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: fact for name, fact in entry.items() if name not in ("apart", "beyond", "flags")}


@pytest.mark.parametrize(("job", "number"), safesets())
def test_every_entry_is_what_the_source_was(opened: dict[str, Opened], job: str, number: int) -> None:
    mine, wanted = opened[job], expected(job, number)
    root = safeset(mine, number)
    assert root.suite == SUITES[job]
    entries = {os.fsdecode(e.path): e for e in mine.entries(root) if e.path.startswith(TOP)}
    assert set(entries) == set(wanted)
    sets: dict[int, set[bytes]] = {}
    for path, entry in entries.items():
        found, right = described(mine, root, entry), plain(wanted[path])
        if "set" in right:
            sets.setdefault(right.pop("set"), set()).add(found.pop("set"))
        assert found == right, path
        check_beyond(mine, entry, wanted[path])
    assert all(len(found) == 1 for found in sets.values())
    assert len(set.union(set(), *sets.values())) == len(sets)


def check_beyond(opened: Opened, entry: Entry, wanted: dict[str, Any]) -> None:
    """Flags, what Windows knows, and what lies apart."""
    beyond = dict(wanted.get("beyond", {}))
    flags = beyond.pop(str(manifest.FLAGS), wanted.get("flags", 0))
    assert entry.extras.get(manifest.FLAGS, 0) == flags
    assert entry.extras.get(manifest.CREATED) == beyond.pop(str(manifest.CREATED), None)
    windows = entry.extras.get(manifest.WINDOWS, {})
    texts = {str(n): v.hex() if isinstance(v, bytes) else v for n, v in windows.items() if n != manifest.STREAMS}
    assert texts == beyond.pop(str(manifest.WINDOWS), {})
    assert beyond == {}
    if "apart" in wanted:
        check_apart(opened, entry, wanted["apart"])


def check_apart(opened: Opened, entry: Entry, wanted: list[Any]) -> None:
    data = b"".join(opened.chunk(e.chunk)[e.offset : e.offset + e.length] for e in entry.extents)
    parts = manifest.apart(entry, data)
    content = data[len(data) - sum(size for size, _ in parts) :]
    assert [len(content), digest(content)] == wanted
    known = [LARGE_VALUE, *(STREAMS[name] for name in sorted(STREAMS))]
    key = opened.keyring.generations[1].file_hash_key
    hashes = {keyed(key, value) for value in known}
    assert {hash for _, hash in parts} <= hashes


def test_large_files_have_several_chunks(opened: dict[str, Opened]) -> None:
    for job, name in (("plain", b"plain/large"), ("kinds", b"kinds/continues")):
        entries = {entry.path: entry for entry in opened[job].entries(safeset(opened[job], 1))}
        large = entries[TOP + name]
        assert len({extent.chunk for extent in large.extents}) > 1


def test_a_file_of_several_chunks_continues(opened: dict[str, Opened]) -> None:
    root = safeset(opened["kinds"], 1)
    top = manifest.Top(root.top_block, root.top_companion, root.level)
    stored = manifest.walk_stored(top, manifest.Source(opened["kinds"].block, opened["kinds"].companion))
    parts = [entry for entry in stored if entry.path == TOP + b"kinds/continues"]
    assert len(parts) > 1
    assert root.level == 1


def test_recovery_codes_open_the_same_keyrings(store: Store, opened: dict[str, Opened]) -> None:
    for job in ("plain", "kinds"):
        (by_code,) = open_keyrings(store, recovery_code(job), slot.RECOVERY_CODE)
        assert by_code.keyring == opened[job].keyring


def test_it_has_one_of_everything(store: Store) -> None:
    """Containers sealed and open on both disks, segments, checkpoints, and an entry of every kind that is written."""
    assert {entry.kind for entry in store.entries} == set(range(1, 10))
    for disk in store.disks:
        scans = [scan for path, scan in store.scans.items() if disk.path in path.parents]
        assert {scan.directory is None for scan in scans} == {True, False}
        assert len(list(disk.path.glob("journal/*.journal"))) > 2
        assert len(list(disk.path.glob("checkpoints/*.checkpoint"))) == 2
    journal.check_chain(store.entries, 1, bytes(32))
    assert Path(store.disks[0].path).name == "disk-1"
