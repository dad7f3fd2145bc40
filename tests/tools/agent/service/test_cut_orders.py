"""Ordered restores whose connection is cut when everything is written, and those that wait for another one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
import trio

from protocol.errors import ConnectionLost
from tests.tools.agent.service.ordered import Ordered
from tools.agent.restore import target_lock
from tools.agent.restore.restore_watch import OrderWatch
from tools.agent.restore.write_tree import TreeWriter
from tools.agent.vault import connection
from tools.client.record_format import RecordType

CUTS = ("while-it-tells", "at-its-close")


def cut_after_everything(ordered: Ordered, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """The connection goes when all files are written, and before whoever talks has heard of that."""
    is_written = False
    real = TreeWriter.sync

    def sync(writer: TreeWriter) -> None:
        nonlocal is_written
        real(writer)
        is_written = True

    async def reporting_that_fails(watch: OrderWatch, _session: object) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ConnectionLost("cut after the last file")

    @asynccontextmanager
    async def connect(_endpoint: object, _program: str, **_: object) -> AsyncIterator[Any]:
        yield ordered.site.vault
        if is_written and not ordered.ended:
            raise ConnectionLost("cut after the last file")

    monkeypatch.setattr(TreeWriter, "sync", sync)
    if when == CUTS[0]:
        monkeypatch.setattr(OrderWatch, "_report", reporting_that_fails)
    else:
        monkeypatch.setattr(connection, "connect", connect)


@pytest.mark.parametrize("when", CUTS)
def test_a_connection_that_is_cut_after_everything_has_nothing_done_again(
    ordered: Ordered, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    message = ordered.order(overwrite="always")
    with monkeypatch.context() as patch:
        cut_after_everything(ordered, patch, when)
        with suppress(ConnectionLost):  # the end cannot be told either where every close fails
            ordered.carry_out(message)
    (restored,) = ordered.site.target.rglob("file")
    restored.write_bytes(b"work of today")
    ordered.carry_out(message)
    assert ordered.end == ("done", 0, "")
    assert restored.read_bytes() == b"work of today"


@pytest.mark.parametrize("when", CUTS)
def test_a_cut_after_everything_makes_no_whole_restore_of_a_damaged_one(
    ordered: Ordered, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    (lost,) = ordered.site.vault.ids_of_type(RecordType.DATA)
    del ordered.site.vault.records[lost]
    cut_after_everything(ordered, monkeypatch, when)
    with suppress(ConnectionLost):
        ordered.carry_out(ordered.order())
    monkeypatch.undo()
    (known,) = (ordered.site.state.path / "orders").iterdir()
    end = msgspec.json.decode(known.read_bytes())["end"]
    assert (end["outcome"], end["exit_code"], end["code"]) == ("failed", 9, "damaged")


def test_one_that_finds_another_restore_at_work_waits_for_its_turn(
    ordered: Ordered, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    locks = iter([False, False, True])
    monkeypatch.setattr(target_lock, "_lock", lambda *_: next(locks))
    monkeypatch.setattr(target_lock, "_LOOK_SECONDS", 0)
    ordered.carry_out(ordered.order())
    assert ordered.end == ("done", 0, "")
    said = "".join(capfd.readouterr())
    assert said.count(f"another restore works in {ordered.site.target}: its end is waited for") == 1
