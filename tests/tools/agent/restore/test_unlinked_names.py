"""Names that could not be made further names of a file come behind all others, as files of their own."""

import os
import stat
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.support.refused_links import refuse_links
from tests.tools.agent.conftest import Site, differences
from tools.agent.restore import restore
from tools.agent.restore.survey import Overwrite
from tools.client.manifest import Entry
from tools.client.record_format import IntegrityError

NOT_LINKED = "not one file with its other names any more"


@pytest.fixture
async def linked(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """One file in two directories, another one behind it, and nothing can be linked."""
    for name in ("first", "second", "third"):
        (site.source / name).mkdir()
    (site.source / "third/c").write_bytes(b"behind")
    (site.source / "first/a").write_bytes(b"content")
    os.link(site.source / "first/a", site.source / "second/b")
    for number, name in enumerate(("third", "second", "first", "")):
        os.utime(site.source / name, ns=(1, 1_500_000_000_000_000_000 + number))
    await site.back_up()
    refuse_links(monkeypatch)
    return site


def every(site: Site) -> list[bytes]:
    return [bytes(site.source / name) for name in ("first/a", "second/b", "third/c")]


async def test_a_directory_above_one_that_was_there_keeps_its_metadata(linked: Site) -> None:
    there = linked.restored_source / "second"
    there.mkdir(parents=True)
    there.chmod(0o750)
    os.chown(there, 4713, 4714)
    restored = await linked.restore(every(linked), overwrite=Overwrite.always)
    status = there.stat()
    assert restored.missed.kept == [(bytes(linked.source / "second/b")[1:], NOT_LINKED)]
    assert (there / "b").read_bytes() == b"content"
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o750, 4713, 4714)


async def test_a_directory_above_one_that_was_made_gets_its_time_again(linked: Site) -> None:
    await linked.restore(every(linked))
    assert differences(linked.source / "second", linked.restored_source / "second") == ""


async def test_a_list_that_is_damaged_meanwhile_is_told(linked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = restore.walk_safeset, 0

    async def walk(*arguments: Any) -> AsyncGenerator[list[Entry]]:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise IntegrityError("told to fail")
        async for entries in real(*arguments):
            yield entries

    monkeypatch.setattr(restore, "walk_safeset", walk)
    restored = await linked.restore(every(linked))
    assert (list(restored.manifest_damage), restored.files) == (["told to fail"], 2)
