"""One path with numbers that nobody expects costs nobody else anything, and is stored itself."""

import os
import stat
from typing import Any

import pytest

from tests.tools.agent.conftest import Site
from tools.agent.scan import scan as scan_module
from tools.agent.scan import walk as walk_module
from tools.agent.system import owners as owners_module

FAR_NS = 10_413_792_000 * 10**9  # 2300-01-01


def fake_status(patch: pytest.MonkeyPatch, name: str, **changes: int) -> None:
    """Whatever asks for the status of that name hears this; asking with a descriptor too."""
    real_stat, real_fstat = os.stat, os.fstat

    def changed(status: os.stat_result) -> os.stat_result:
        fields = list(status[:10])
        fields[stat.ST_INO] = changes.get("inode", status.st_ino)
        times = {"st_mtime_ns": changes.get("mtime_ns", status.st_mtime_ns), "st_ctime_ns": status.st_ctime_ns}
        return os.stat_result(fields, times)

    def look(what: Any, **more: Any) -> os.stat_result:
        status = real_stat(what, **more)
        return changed(status) if os.path.basename(os.fsencode(what)) == name.encode() else status

    def look_at_open(descriptor: int) -> os.stat_result:
        is_it = os.readlink(f"/proc/self/fd/{descriptor}").endswith("/" + name)
        return changed(real_fstat(descriptor)) if is_it else real_fstat(descriptor)

    patch.setattr(walk_module.os, "stat", look)
    patch.setattr(scan_module.os, "fstat", look_at_open)


@pytest.mark.parametrize("mtime_ns", [FAR_NS, -(2**63) - 1])
@pytest.mark.parametrize("is_young", [False, True])
async def test_a_time_out_of_range_costs_its_nanoseconds_only(
    site: Site, monkeypatch: pytest.MonkeyPatch, mtime_ns: int, is_young: bool
) -> None:
    for name in ("before", "far", "last"):
        (site.source / name).write_bytes(name.encode())
    if not is_young:
        monkeypatch.setattr(scan_module.time, "time_ns", lambda: FAR_NS // 2)
    with monkeypatch.context() as patch:
        fake_status(patch, "far", mtime_ns=mtime_ns)
        for _ in range(2):
            done = await site.back_up()
            assert done.missed.kept == [(bytes(site.source / "far")[1:], "time out of range")]
    restored = await site.restore()
    assert (restored.files, restored.is_damaged) == (3, False)
    assert {path.name: path.read_bytes() for path in site.restored_source.iterdir()} == {
        name: name.encode() for name in ("before", "far", "last")
    }
    kept_ns = {os.path.basename(entry.path): entry.mtime_ns for entry in await site.entries(2)}
    assert kept_ns[b"far"] == (2**63 - 1 if mtime_ns > 0 else -(2**63))


async def test_an_inode_of_64_bits_is_remembered(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.source / "file").write_bytes(b"content")
    os.utime(site.source / "file", (1, 1))
    now_ns = (site.source / "file").stat().st_ctime_ns + 3600 * 10**9
    monkeypatch.setattr(scan_module.time, "time_ns", lambda: now_ns)
    fake_status(monkeypatch, "file", inode=2**64 - 5)
    for bytes_read in (7, 0):
        done = await site.back_up()
        assert (done.missed.kept, done.scanned.bytes_read) == ([], bytes_read)


async def test_an_owner_whose_name_is_no_text_is_known_by_number(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.source / "file").write_bytes(b"content")
    owners_module.user_name.cache_clear()
    real = owners_module.pwd.getpwuid

    def look(uid: int) -> Any:
        return type(real(0))(("m\udcfcller", *real(0)[1:]))

    monkeypatch.setattr(owners_module.pwd, "getpwuid", look)
    try:
        assert (await site.back_up()).missed.kept == []
    finally:
        owners_module.user_name.cache_clear()
    (entry,) = [entry for entry in await site.entries(1) if entry.path.endswith(b"file")]
    assert (entry.user, entry.uid) == (None, (site.source / "file").stat().st_uid)
