"""Backups and restores against a fake vault, compared with rsync."""

import mmap
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.trees import change_tree, write_tree
from tests.tools.agent.conftest import JOB_ID, PASSWORD, RECOVERY_CODE, Site, differences
from tools.agent.restore.survey import Overwrite
from tools.agent.scan import scan as scan_module
from tools.agent.scan import walk as walk_module
from tools.client.failure import Failure
from tools.client.manifest_writer import EntryTooLarge, ManifestWriter


async def test_a_tree_comes_back_as_it_was(site: Site) -> None:
    write_tree(site.source)
    done = await site.back_up()
    assert done.missed.kept == []
    restored = await site.restore()
    assert restored.missed.kept == []
    assert restored.files == done.scanned.files
    assert differences(site.source, site.restored_source) == ""


def hold_still_above(patch: pytest.MonkeyPatch, source: Path) -> None:
    """The directories above the included path are entries too, and other programs write in them meanwhile."""
    above, real, kept = {bytes(path) for path in source.parents}, os.stat, {}

    def stat(path: Any, **more: Any) -> os.stat_result:
        if path not in above:
            return real(path, **more)
        return kept.setdefault(path, real(path, **more))

    patch.setattr(walk_module.os, "stat", stat)


async def test_an_unchanged_tree_moves_nothing_and_reads_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(site.source)
    hold_still_above(monkeypatch, site.source)
    await site.back_up()
    await site.back_up()
    offered, uploads = len(site.vault.offered), site.vault.uploads
    done = await site.back_up()
    assert (done.scanned.bytes_read, done.sent.records, done.safeset) == (0, 0, 3)
    assert (len(site.vault.offered), site.vault.uploads) == (offered, uploads)
    first, last = site.vault.roots[1][0], site.vault.roots[2][0]
    assert first[160:225] == last[160:225]


async def test_what_is_written_through_a_map_is_not_missed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second write finds its page dirty already, so no time of the file moves: whoever asks hears what was."""
    path = site.source / "mapped"
    path.write_bytes(b"first")
    was, real_stat, real_fstat = path.stat(), os.stat, os.fstat

    def stat(what: Any, **more: Any) -> os.stat_result:
        return was if what == b"mapped" else real_stat(what, **more)

    def fstat(descriptor: int) -> os.stat_result:
        return was if os.readlink(f"/proc/self/fd/{descriptor}") == str(path) else real_fstat(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(walk_module.os, "stat", stat)
        patch.setattr(walk_module.os, "fstat", fstat)
        patch.setattr(scan_module.time, "time_ns", lambda: was.st_ctime_ns + 2_000_000_000)
        await site.back_up()
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            mapped[:] = b"later"
        await site.back_up()
    await site.restore()
    assert (site.restored_source / "mapped").read_bytes() == b"later"


async def test_every_earlier_state_stays_restorable(site: Site) -> None:
    write_tree(site.source)
    await site.back_up()
    first = site.directory / "first"
    site.source.rename(first)
    shutil.copytree(first, site.source, symlinks=True)
    change_tree(site.source)
    done = await site.back_up()
    assert done.missed.kept == []
    await site.restore(sequence=1)
    assert differences(first, site.restored_source) == ""
    site.target.rename(site.directory / "older")
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


async def test_a_changed_run_over_the_cache_is_the_same_manifest_as_one_without(site: Site) -> None:
    write_tree(site.source)
    await site.back_up()
    await site.back_up()
    change_tree(site.source)
    await site.back_up()
    with_cache = site.vault.roots[-1][0]
    site.state.job(JOB_ID).cache_path.unlink()
    await site.back_up()
    without = site.vault.roots[-1][0]
    assert with_cache[232:264] == without[232:264]
    entries = await site.entries(3)
    # Bundles are made anew where nothing is known, so where contents are may differ, and nothing else.
    assert entries == await site.entries(4)
    assert len(entries) > 150
    await site.restore(sequence=3)
    assert differences(site.source, site.restored_source) == ""


@pytest.mark.parametrize("content", [b"changed", b""])
@pytest.mark.parametrize("cause", ["unreadable", "vanished", "metadata too large"])
async def test_what_cannot_be_taken_is_not_said_to_be_as_it_was(
    site: Site, monkeypatch: pytest.MonkeyPatch, cause: str, content: bytes
) -> None:
    for name in ("before", "file", "last"):
        (site.source / name).write_bytes(b"old content")
    await site.back_up()
    path = site.source / "file"
    path.write_bytes(content)
    with monkeypatch.context() as patch:
        refuse(patch, path, cause)
        done = await site.back_up()
    assert done.missed.kept == [(bytes(path)[1:], cause)]
    await site.restore()
    assert sorted(os.listdir(site.restored_source)) == ["before", "last"]
    with sqlite3.connect(next(site.state.path.rglob("cache.sqlite"))) as connection:
        key = bytes(path)[1:].replace(b"/", b"\0")
        rows = connection.execute("SELECT size, hash FROM rows WHERE key = ?", (key,)).fetchall()
        assert rows == ([(0, None)] if cause == "unreadable" else [])
    connection.close()


def refuse(patch: pytest.MonkeyPatch, path: Path, cause: str) -> None:
    """From now on the path cannot be taken."""
    what, name, error = {
        "unreadable": (scan_module, "open_found", OSError(5, "Input/output error")),
        "vanished": (scan_module, "open_found", FileNotFoundError(2, "No such file or directory")),
        "metadata too large": (ManifestWriter, "add", EntryTooLarge("too large")),
    }[cause]
    real = getattr(what, name)

    def refusing(*arguments: Any) -> Any:
        if any(bytes(path)[1:] in (argument, getattr(argument, "path", None)) for argument in arguments):
            raise error
        return real(*arguments)

    patch.setattr(what, name, refusing)


async def test_a_file_without_a_size_is_read_to_its_end(site: Site) -> None:
    path = Path("/proc/sys/kernel/ostype")
    assert os.stat(path).st_size == 0
    site.define(include=[bytes(path)])
    for _ in range(2):
        done = await site.back_up()
        assert (done.missed.kept, done.scanned.bytes_read) == ([], 6)
    await site.restore()
    assert (site.target / "proc/sys/kernel/ostype").read_bytes() == b"Linux\n"


async def test_what_was_sent_counts_contents_only(site: Site) -> None:
    (site.source / "large").write_bytes(os.urandom(1 << 20))
    done = await site.back_up()
    assert (done.sent.content_bytes, done.reused_bytes) == (1 << 20, 0)


async def test_an_insertion_sends_little(site: Site) -> None:
    large = site.source / "large"
    content = os.urandom(12 << 20)
    large.write_bytes(content)
    await site.back_up()
    large.write_bytes(content[: 3 << 20] + b"inserted" + content[3 << 20 :])
    done = await site.back_up()
    assert done.sent.record_bytes < 6 << 20


async def test_the_recovery_code_opens_too(site: Site) -> None:
    (site.source / "file").write_bytes(b"content")
    await site.back_up()
    restored = await site.restore(secret=RECOVERY_CODE)
    assert (restored.files, restored.bytes) == (1, 7)


async def test_a_wrong_password_is_told(site: Site) -> None:
    (site.source / "file").write_bytes(b"content")
    await site.back_up()
    with pytest.raises(Failure) as caught:
        await site.restore(secret="another one")
    assert caught.value.exit_code == 12


async def test_one_path_brings_its_subtree_only(site: Site) -> None:
    write_tree(site.source)
    await site.back_up()
    restored = await site.restore([bytes(site.source / "dir-3"), bytes(site.source / "text")])
    assert restored.missed.kept == []
    assert differences(site.source / "dir-3", site.restored_source / "dir-3") == ""
    assert sorted(os.listdir(site.restored_source)) == ["dir-3", "text"]


async def test_a_path_that_is_not_there_is_not_found(site: Site) -> None:
    (site.source / "file").write_bytes(b"content")
    await site.back_up()
    with pytest.raises(BaseException) as caught:  # noqa: B017  (a group of one)
        await site.restore([b"/nowhere"])
    failure = caught.value.exceptions[0] if isinstance(caught.value, BaseExceptionGroup) else caught.value
    assert isinstance(failure, Failure)
    assert failure.exit_code == 4


async def test_existing_files_are_safe_unless_told_otherwise(site: Site) -> None:
    names = ["same", "edited"]
    for name in names:
        (site.source / name).write_bytes(b"content")
    await site.back_up()
    await site.restore()
    edited = site.restored_source / "edited"
    edited.write_bytes(b"my edits since")
    restored = await site.restore()
    assert restored.missed.kept == [(bytes(site.source / "edited")[1:], "exists")]
    assert edited.read_bytes() == b"my edits since"
    assert (await site.restore(overwrite=Overwrite.newer)).files == 0
    restored = await site.restore(overwrite=Overwrite.changed)
    assert (restored.files, restored.missed.kept) == (1, [])
    assert edited.read_bytes() == b"content"
    assert (await site.restore(overwrite=Overwrite.always)).files == 2


async def test_what_is_excluded_is_left_out(site: Site) -> None:
    (site.source / "keep").write_bytes(b"1")
    (site.source / "drop.tmp").write_bytes(b"2")
    (site.source / "cache").mkdir()
    (site.source / "cache" / "inside").write_bytes(b"3")
    site.define(exclude=["*.tmp", "cache/"])
    done = await site.back_up()
    assert done.missed.kept == []
    await site.restore()
    assert os.listdir(site.restored_source) == ["keep"]


async def test_equal_small_files_share_their_bytes(site: Site) -> None:
    content = os.urandom(100_000)
    for name in ("a", "b", "c"):
        (site.source / name).write_bytes(content)
    done = await site.back_up()
    assert done.sent.content_bytes < 150_000
    (site.source / "d").write_bytes(content)
    done = await site.back_up()
    assert done.sent.content_bytes < 50_000
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


async def test_a_damaged_chunk_names_its_files_and_the_rest_comes(site: Site) -> None:
    (site.source / "large").write_bytes(os.urandom(2 << 20))
    (site.source / "small").write_bytes(b"small")
    await site.back_up()
    large_ids = sorted(site.vault.ids_of_type(1), key=lambda id: -len(site.vault.records[id]))
    record = bytearray(site.vault.records[large_ids[0]])
    record[200] ^= 1
    site.vault.records[large_ids[0]] = bytes(record)
    restored = await site.restore()
    assert restored.is_damaged
    assert restored.missed.kept == [(bytes(site.source / "large")[1:], "damaged")]
    assert os.listdir(site.restored_source) == ["small"]


async def test_a_missing_chunk_names_its_files_and_the_rest_comes(site: Site) -> None:
    for number in range(6):
        (site.source / f"large-{number}").write_bytes(os.urandom(1 << 20))
    await site.back_up()
    lost = site.vault.ids_of_type(1)[2]
    del site.vault.records[lost]
    restored = await site.restore()
    assert len(restored.missed.kept) == 1
    assert restored.files == 5
    assert restored.is_damaged


async def test_a_lost_manifest_block_is_damage(site: Site) -> None:
    # More bytes of entries than a leaf may have, wherever the random key of the keyring puts the cuts.
    for number in range(2_500):
        (site.source / f"{number:0220}").touch()
    await site.back_up()
    root = site.vault.roots[-1][0]
    assert root[224] > 0
    lost = next(id for id in site.vault.ids_of_type(2) if id != root[160:192])
    del site.vault.records[lost]
    restored = await site.restore()
    assert restored.is_damaged
    assert restored.manifest_damage is not None


async def test_a_rolled_back_vault_is_noticed(site: Site) -> None:
    (site.source / "file").write_bytes(b"1")
    await site.back_up()
    await site.back_up()
    site.vault.roots.pop()
    with pytest.raises(Failure, match="went back in time"):
        await site.back_up()
    with pytest.raises(Failure, match="latest"):
        await site.restore()
    assert (await site.restore(sequence=1)).files == 1


async def test_a_failed_run_is_ended_and_keeps_the_cache_of_its_base(site: Site) -> None:
    (site.source / "file").write_bytes(b"1")
    await site.back_up()
    site.source.joinpath("file").rename(site.directory / "elsewhere")
    site.source.rmdir()
    site.define(include=[b"/nowhere/at/all"])
    with pytest.raises(Failure) as caught:
        await site.back_up()
    assert caught.value.exit_code == 4
    assert site.vault.ended[-1].outcome == "failed"
    assert len(site.vault.roots) == 1


async def test_no_secret_stays_in_the_state(site: Site) -> None:
    (site.source / "file").write_bytes(b"1")
    await site.back_up()
    kept = b"".join(path.read_bytes() for path in site.state.path.rglob("*") if path.is_file())
    assert PASSWORD.encode() not in kept
    assert RECOVERY_CODE not in kept
    assert all(path.stat().st_mode & 0o077 == 0 for path in site.state.path.rglob("*"))


LONG_NAMES = [f"{number:03}".ljust(255, "n") for number in range(900)]


def below(root: Path, *, is_made: bool) -> int:
    """A descriptor of the deepest directory, whose path no call takes whole."""
    here = os.open(root, os.O_RDONLY)
    for name in LONG_NAMES:
        if is_made:
            os.mkdir(name, dir_fd=here)
        deeper = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    return here


async def test_a_path_of_hundreds_of_long_names_comes_back(site: Site) -> None:
    try:
        deep = below(site.source, is_made=True)
        file = os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=deep)
        os.write(file, b"content")
        os.close(file)
        os.close(deep)
        done = await site.back_up()
        assert (done.missed.kept, done.scanned.files) == ([], 1)
        result = await site.restore()
        assert (result.files, result.missed.kept, result.is_damaged) == (1, [], False)
        deep = below(site.restored_source, is_made=False)
        file = os.open("file", os.O_RDONLY, dir_fd=deep)
        assert os.read(file, 100) == b"content"
        os.close(file)
        os.close(deep)
    finally:
        await trio.run_process(["rm", "-rf", str(site.source), str(site.target)])
