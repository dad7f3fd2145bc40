"""A checkpoint that fails is told and never ends the daemon; commits go on beside it."""

import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest
import trio

from tests.vaultd.operations.small_site import make_site
from vaultd import metrics, offload
from vaultd.catalog.database import View
from vaultd.daemon import serve
from vaultd.maintenance import checkpoint
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.index import checkpoint as checkpoints


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def failures() -> float:
    return metrics.REGISTRY.get_sample_value("vaultd_checkpoint_failures_total") or 0.0


async def test_any_error_is_told_and_the_daemon_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(*_: object) -> None:
        raise lmdb.CorruptedError("a page is not as it should be")

    site = make_site(tmp_path)
    before = failures()
    with monkeypatch.context() as patched:
        patched.setattr(View, "rows", damaged)
        await checkpoint.checkpoint_once(site.vault)
    assert failures() == before + 1
    close_vault(site.vault)


async def test_commits_go_on_while_a_checkpoint_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it holds the rows of its own position, none that came later."""
    site = make_site(tmp_path)
    before = site.vault.catalog.position()
    begun, go_on = threading.Event(), threading.Event()
    rows = View.rows

    def slow(view: View) -> Iterator[tuple[str, bytes, bytes]]:
        begun.set()
        assert go_on.wait(60)
        return rows(view)

    monkeypatch.setattr(View, "rows", slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(checkpoint.checkpoint_once, site.vault)
        assert await trio.to_thread.run_sync(begun.wait, 60)
        try:
            with trio.fail_after(20):
                await offload.write(site.administrator, "acme")
        finally:
            go_on.set()
    directories = site.vault.store.disks.copy_directories("checkpoints")
    found = checkpoints.read_newest_checkpoint(SystemDoor(), directories, site.vault.vault_id)
    assert found is not None
    position, held = found
    assert tuple(position) == tuple(before)
    assert "accounts" not in {table for table, _, _ in held}
    close_vault(site.vault)


async def test_a_full_disk_is_told_and_the_daemon_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site(tmp_path)
    before = failures()
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "write_checkpoint", full)
        await checkpoint.checkpoint_once(site.vault)
    assert failures() == before + 1
    await checkpoint.checkpoint_once(site.vault)
    assert failures() == before + 1
    close_vault(site.vault)


def test_a_full_disk_at_the_end_is_told_and_the_vault_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(tmp_path)
    monkeypatch.setattr(checkpoints, "write_checkpoint", full)
    assert serve._close(site.vault) == serve.EXIT_STORE_STOPPED
    monkeypatch.undo()
    close_vault(open_vault(site.config, site.clock, SystemDoor()))


async def test_a_checkpoint_that_would_eat_the_reserve_is_told_and_commits_go_on(tmp_path: Path) -> None:
    """Disks with the reserve and 100 bytes: too little for the checkpoint, enough for the journal."""
    site = make_site(tmp_path)
    before, reserve = failures(), site.vault.store.reserve_bytes

    class Small(SystemDoor):
        def space(self, path: Path) -> tuple[int, int]:
            return 1 << 40, reserve + 100

    close_vault(site.vault)
    held = sorted(path.name for path in (site.config.directory / "disk-1/checkpoints").iterdir())
    site.vault = open_vault(site.config, site.clock, Small())
    await checkpoint.checkpoint_once(site.vault)
    assert failures() == before + 1
    site.vault.store.commit()
    assert not site.vault.store.is_broken
    assert serve._close(site.vault) == serve.EXIT_STORE_STOPPED
    assert sorted(path.name for path in (site.config.directory / "disk-1/checkpoints").iterdir()) == held
