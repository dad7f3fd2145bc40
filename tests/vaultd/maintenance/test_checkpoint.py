"""A checkpoint that fails costs a longer start, never the daemon."""

import errno
from pathlib import Path

import pytest

from tests.vaultd.operations.small_site import make_site
from vaultd import metrics
from vaultd.daemon import serve
from vaultd.maintenance import checkpoint
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store import checkpoint as checkpoints
from vaultd.store.disk_door import SystemDoor


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def failures() -> float:
    return metrics.REGISTRY.get_sample_value("vaultd_checkpoint_failures_total") or 0.0


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
