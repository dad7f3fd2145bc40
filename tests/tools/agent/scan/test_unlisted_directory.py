"""A directory below an included path that cannot be listed: its entry says so, and the run is not a clean one."""

import errno
import os
from typing import Any

import pytest

from tests.tools.agent.conftest import Site
from tools.agent.scan import sorted_names as sorted_names_module


def refuse_listing(patch: pytest.MonkeyPatch, inode: int, entries_before: int) -> None:
    """The directory fails at its beginning, or after some entries were read."""
    real = os.scandir

    class HalfRead:
        def __init__(self, listing: Any) -> None:
            self._listing = listing
            self._left = entries_before

        def __enter__(self) -> "HalfRead":
            return self

        def __exit__(self, *_: object) -> None:
            self._listing.close()

        def __iter__(self) -> "HalfRead":
            return self

        def __next__(self) -> Any:
            if not self._left:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            self._left -= 1
            return next(self._listing)

    def scandir(descriptor: int) -> Any:
        listing = real(descriptor)
        return HalfRead(listing) if os.fstat(descriptor).st_ino == inode else listing

    patch.setattr(sorted_names_module.os, "scandir", scandir)


@pytest.mark.parametrize("entries_before", [0, 1])
@pytest.mark.parametrize("is_known", [False, True])
async def test_what_is_below_it_is_unknown_and_not_absent(
    site: Site, monkeypatch: pytest.MonkeyPatch, entries_before: int, is_known: bool
) -> None:
    directory = site.source / "directory"
    directory.mkdir()
    for name in ("one", "two"):
        (directory / name).write_bytes(b"1")
    os.utime(directory, (1, 1))
    if is_known:
        await site.back_up()
    path = bytes(directory)[1:]
    with monkeypatch.context() as patch:
        refuse_listing(patch, directory.stat().st_ino, entries_before)
        for _ in range(2):
            done = await site.back_up()
            assert done.missed.kept == [(path, "unreadable")]
            assert site.vault.ended[-1].outcome == "warnings"
            assert await extras_of(site, path) == {8: 4}
    assert (await site.back_up()).missed.kept == []
    assert await extras_of(site, path) is None


async def extras_of(site: Site, path: bytes) -> dict[int, object] | None:
    (entry,) = [entry for entry in await site.entries(len(site.vault.roots)) if entry.path == path]
    return entry.extras
