"""An agent keeps the memory of its buffers where it makes and drops many of them."""

import pytest

from tests.tools.agent.conftest import Site
from tools.agent.restore import restore
from tools.agent.run import pipeline


async def test_a_backup_keeps_the_memory_of_its_buffers(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    monkeypatch.setattr(pipeline, "reuse_freed_memory", lambda: told.append(True))
    await site.back_up()
    assert told == [True]


async def test_a_restore_keeps_the_memory_of_its_buffers(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.back_up()
    told: list[bool] = []
    monkeypatch.setattr(restore, "reuse_freed_memory", lambda: told.append(True))
    await site.restore()
    assert told == [True]
