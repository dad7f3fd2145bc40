"""What a run could not store as it was is told again by whoever restores or lists."""

import os
from typing import Any

import pytest

from tests.tools.agent.conftest import Site
from tests.tools.agent.test_unlisted_directory import refuse_listing
from tools.agent import scan as scan_module
from tools.agent.commands.ls import _tell
from tools.agent.missed import Missed
from tools.client.output import Output

BELOW = "what was below is unknown: it could not be listed"
CHANGED = "changed while it was read"


@pytest.mark.parametrize("is_there_already", [False, True])
async def test_a_restore_and_a_listing_say_what_the_run_could_not_store(
    site: Site, monkeypatch: pytest.MonkeyPatch, is_there_already: bool
) -> None:
    directory = site.source / "directory"
    directory.mkdir()
    (directory / "lost").touch()
    (site.source / "file").write_bytes(b"content")
    real = scan_module.read_small

    def read(descriptor: int, status: os.stat_result) -> Any:
        content, after, _ = real(descriptor, status)
        return content, after, True

    with monkeypatch.context() as patch:
        refuse_listing(patch, directory.stat().st_ino, 0)
        patch.setattr(scan_module, "read_small", read)
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
