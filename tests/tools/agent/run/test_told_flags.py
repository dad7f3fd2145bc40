"""What a run could not store as it was is told again by whoever restores or lists."""

import os
from typing import Any

import pytest

from tests.tools.agent.conftest import Site, differences
from tests.tools.agent.scan.test_unlisted_directory import refuse_listing
from tools.agent.commands.ls import _tell
from tools.agent.missed import Missed
from tools.agent.restore.survey import Overwrite
from tools.agent.scan import read_file
from tools.agent.scan import scan as scan_module
from tools.client.output import Output

BELOW = "what was below is unknown: it could not be listed"
NOT_READ = "could not be read when the safeset was made"
CHANGED = "changed while it was read"


@pytest.mark.parametrize("is_there_already", [False, True])
async def test_a_restore_and_a_listing_say_what_the_run_could_not_store(
    site: Site, monkeypatch: pytest.MonkeyPatch, is_there_already: bool
) -> None:
    directory = site.source / "directory"
    directory.mkdir()
    (directory / "lost").touch()
    (site.source / "file").write_bytes(b"content")
    real = read_file.read_small

    def read(descriptor: int, status: os.stat_result) -> Any:
        content, after, _ = real(descriptor, status)
        return content, after, True

    with monkeypatch.context() as patch:
        refuse_listing(patch, directory.stat().st_ino, 0)
        patch.setattr(read_file, "read_small", read)
        await site.back_up()
    expected = [(bytes(directory)[1:], BELOW), (bytes(site.source / "file")[1:], CHANGED)]
    if is_there_already:
        await site.restore()
    restored = await site.restore()
    assert (restored.missed.kept, restored.is_damaged) == (expected, False)
    listed = Missed()
    for entry in await site.entries(1):
        _tell(Output(json=False), entry, listed)
    assert listed.kept == expected


async def test_a_file_that_could_not_be_read_is_there_and_not_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A safeset that leaves it out would say that it was removed; the next run tries again."""
    (site.source / "good").write_bytes(b"good")
    secret = site.source / "secret"
    secret.write_bytes(b"content")
    os.chmod(secret, 0o640)
    await site.back_up()
    secret.write_bytes(b"another")
    path = bytes(secret)[1:]
    real = scan_module.open_found

    def refuse(found: Any) -> Any:
        if found.path == path:
            raise PermissionError(13, "told to fail")
        return real(found)

    with monkeypatch.context() as patch:
        patch.setattr(scan_module, "open_found", refuse)
        done = await site.back_up()
    assert done.missed.kept == [(path, "unreadable")]
    assert done.scanned.files == 1
    (entry,) = [entry for entry in await site.entries(2) if entry.path == path]
    assert (entry.size, entry.hash, entry.extents, entry.extras, entry.mode) == (0, None, (), {8: 8}, 0o640)
    for overwrite in Overwrite:
        restored = await site.restore(sequence=2, overwrite=overwrite)
        assert (path, NOT_READ) in restored.missed.kept
        assert not (site.restored_source / "secret").exists()
    (site.restored_source / "secret").write_bytes(b"of the older safeset")
    await site.restore(sequence=2, overwrite=Overwrite.always)
    assert (site.restored_source / "secret").read_bytes() == b"of the older safeset"
    assert (await site.back_up()).missed.kept == []
    await site.restore(sequence=3, overwrite=Overwrite.always)
    assert not differences(site.source, site.restored_source)
