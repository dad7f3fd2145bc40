"""Which files a run says it stored anew, because the vault had lost something of them, and which it could not."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

import pytest

from tests.tools.agent.conftest import Site
from tools.agent import hit_files
from tools.agent.hit_files import HitFiles, tell_hit_files
from tools.client.output import Output
from tools.client.record_format import RecordType

MIB = 1 << 20
OLD_NS = 1_600_000_000_000_000_000


@pytest.fixture(autouse=True)
def known_by_their_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.agent.scan.fingerprint.FINE_MARGIN_NS", -(10**18))
    monkeypatch.setattr("tools.agent.scan.fingerprint.COARSE_MARGIN_NS", -(10**18))


def write(site: Site, name: str, content: bytes) -> None:
    path = site.source / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(OLD_NS, OLD_NS))


def lose(site: Site, ids: Sequence[bytes]) -> None:
    """The vault has met damage of these, and so does not know the base."""
    for id in ids:
        del site.vault.records[id]
    site.vault.base_known = False


def named(site: Site, paths: Sequence[bytes]) -> list[str]:
    return [os.path.relpath(b"/" + path, bytes(site.source)).decode() for path in paths]


async def test_what_is_here_as_it_was_is_stored_anew_and_the_rest_is_named(site: Site) -> None:
    for name in ("dir/kept", "changed", "gone"):
        write(site, name, os.urandom(2 * MIB))
    await site.back_up()
    lost = site.vault.ids_of_type(RecordType.DATA)
    write(site, "whole", os.urandom(MIB // 2))
    await site.back_up()
    (site.source / "gone").unlink()
    write(site, "changed", os.urandom(2 * MIB))
    lose(site, lost)
    done = await site.back_up()
    assert (done.hit.count, named(site, done.hit.stored_anew)) == (3, ["dir/kept"])
    assert sorted(named(site, done.hit.left)) == ["changed", "gone"]
    site.vault.base_known = True
    assert (await site.back_up()).hit.count == 0


async def test_each_small_file_of_a_lost_bundle_is_named(site: Site) -> None:
    for number in range(5):
        write(site, f"{number}", os.urandom(100))
    await site.back_up()
    lose(site, site.vault.ids_of_type(RecordType.DATA))
    done = await site.back_up()
    assert sorted(named(site, done.hit.stored_anew)) == ["0", "1", "2", "3", "4"]


async def test_a_base_that_is_unknown_and_of_which_nothing_is_lost_names_none(site: Site) -> None:
    write(site, "file", os.urandom(MIB))
    await site.back_up()
    lose(site, [])
    assert (await site.back_up()).hit.count == 0


def test_a_large_file_of_which_several_parts_are_lost_counts_once() -> None:
    hit = HitFiles()
    for key in (b"a", b"a", b"b", b"a\0b"):
        hit.add(key, key * 32)
    assert hit.count == 3


def test_what_is_followed_is_bounded_and_the_rest_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hit_files, "KEPT_MAX", 2)
    hit = HitFiles()
    for name in (b"dir\0a", b"b", b"c", b"d", b"e"):
        hit.add(name, name)
    hit.met(b"dir/a", b"dir\0a")
    hit.met(b"b", b"other content")
    hit.met(b"c", None)
    hit.met(b"d", b"d")
    tell_hit_files(Output(), hit)
    assert capsys.readouterr().err.splitlines() == [
        "stored anew: /dir/a",
        "not stored anew, gone or changed: /b",
        "note: of 3 more files the vault had lost something; what is here is stored anew",
    ]
    tell_hit_files(Output(json=True), hit)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"type": "stored_anew", "path": "/dir/a"},
        {"type": "not_stored_anew", "path": "/b"},
    ]
