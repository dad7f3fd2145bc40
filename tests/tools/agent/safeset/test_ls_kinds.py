"""What `ls` shows of each kind of thing, and of what lies beside the content."""

import json
import os
import stat
from typing import Any

import pytest

from tests.tools.agent.conftest import Site
from tools.agent.commands.ls import _tell
from tools.agent.missed import Missed
from tools.client.output import Output


async def lines(site: Site, capsys: pytest.CaptureFixture[str], *, is_json: bool) -> list[Any]:
    for entry in await site.entries(1):
        _tell(Output(json=is_json), entry, Missed())
    said = capsys.readouterr().out.splitlines()
    return [json.loads(line) for line in said] if is_json else said


async def test_kinds_names_holes_and_attributes(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(site.source / "fifo")
    os.mknod(site.source / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    (site.source / "one").write_bytes(b"content")
    os.setxattr(site.source / "one", "user.note", b"x")
    os.link(site.source / "one", site.source / "two")
    os.truncate(site.source / "one", 1_000_000)
    await site.back_up()
    found = {os.path.basename(line["path"]): line for line in await lines(site, capsys, is_json=True)}
    assert {name: line["kind"] for name, line in found.items()} == {
        "source": "directory", "fifo": "fifo", "null": "character_device", "one": "file", "two": "file",
    }  # fmt: skip
    assert found["null"]["device"] == [1, 3]
    assert found["one"]["link_set"] == found["two"]["link_set"] != found["fifo"]["link_set"] is None
    assert (found["one"]["size"], found["one"]["attributes"]) == (1_000_000, ["user.note"])
    assert 900_000 < found["one"]["holes_bytes"] < 1_000_000
    shown = {line.rpartition("/")[2]: line for line in await lines(site, capsys, is_json=False)}
    assert [shown[name][0] for name in ("source", "fifo", "null", "one")] == ["d", "p", "c", "-"]
    assert " 1,3 " in shown["null"]
