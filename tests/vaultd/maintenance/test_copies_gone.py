"""One of the two disks with copies goes away while the daemon runs: checkpoints and keys go on with one copy, which is
told, and the other copy is made when the disk is back.
"""

import os
from pathlib import Path

import pytest
import structlog.testing

from tests.vaultd.operations.small_site import Site, make_site
from vaultd.daemon import serve
from vaultd.maintenance import checkpoint, disks
from vaultd.operations.vault import open_vault
from vaultd.operations.wrapping import create_erase_key, job_owner
from vaultd.store.disk_door import SystemDoor
from vaultd.store.index.checkpoint import verify_checkpoint


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


def disk(site: Site, number: int) -> Path:
    return site.config.directory / f"disk-{number + 1}"


def unmount(site: Site, number: int) -> None:
    disk(site, number).rename(site.config.directory / f"away-{number}")
    disk(site, number).mkdir()


def mount(site: Site, number: int) -> None:
    disk(site, number).rmdir()
    (site.config.directory / f"away-{number}").rename(disk(site, number))


def newest(path: Path) -> str:
    (name, *_) = sorted((one.name for one in (path / "checkpoints").iterdir()), reverse=True)
    verify_checkpoint(SystemDoor(), path / "checkpoints" / name)
    return name


@pytest.mark.parametrize("number", [0, 1])
async def test_a_checkpoint_is_written_to_the_one_that_is_left_and_says_so(site: Site, number: int) -> None:
    await checkpoint.checkpoint_once(site.vault)
    unmount(site, number)
    site.administrator("made meanwhile")
    before = newest(disk(site, 1 - number))
    with structlog.testing.capture_logs() as logs:
        await checkpoint.checkpoint_once(site.vault)
    assert [line["event"] for line in logs] == ["checkpoint", "checkpoint on one disk only"]
    assert str(disk(site, number)) in logs[1]["problem"]
    assert newest(disk(site, 1 - number)) > before
    assert list(disk(site, number).iterdir()) == []
    mount(site, number)
    assert newest(disk(site, number)) == before
    with structlog.testing.capture_logs() as logs:
        await checkpoint.checkpoint_once(site.vault)
    assert [line["event"] for line in logs] == ["checkpoint"]
    assert newest(disk(site, number)) == newest(disk(site, 1 - number)) > before
    assert serve._close(site.vault) == serve.EXIT_OK


@pytest.mark.parametrize("number", [0, 1])
async def test_a_key_that_was_made_meanwhile_is_completed_when_the_disk_is_back(site: Site, number: int) -> None:
    unmount(site, number)
    away = await disks.look_once(site.vault, set())
    owner = job_owner(os.urandom(16))
    create_erase_key(site.vault, owner)
    mount(site, number)
    copy = disk(site, number) / "erase-keys" / f"{owner.id.hex()}.key"
    assert not copy.exists()
    with structlog.testing.capture_logs() as logs:
        await disks.look_once(site.vault, away)
    assert copy.read_bytes() == (disk(site, 1 - number) / "erase-keys" / copy.name).read_bytes()
    assert [line["event"] for line in logs] == ["disk not offline any more", "erase key"]
    assert serve._close(site.vault) == serve.EXIT_OK


def test_a_stop_with_one_of_them_gone_says_so_and_the_next_start_knows_everything(site: Site) -> None:
    site.administrator("acme")
    unmount(site, 1)
    with structlog.testing.capture_logs() as logs:
        assert serve._close(site.vault) == serve.EXIT_OK
    assert [line["event"] for line in logs] == ["checkpoint on one disk only"]
    assert list(disk(site, 1).iterdir()) == []
    mount(site, 1)
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    with site.vault.catalog.read() as view:
        assert view.count("accounts") == 1
    assert serve._close(site.vault) == serve.EXIT_OK


def test_a_stop_with_neither_here_ends_with_a_sentence_and_writes_nothing(site: Site) -> None:
    for number in (0, 1):
        unmount(site, number)
    with structlog.testing.capture_logs() as logs:
        assert serve._close(site.vault) == serve.EXIT_STORE_STOPPED
    (line,) = logs
    assert line["event"] == "no checkpoint"
    assert "none of the first two disks is here to take checkpoints: bring one back" in line["problem"]
    for number in (0, 1):
        assert list(disk(site, number).iterdir()) == []
        mount(site, number)
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    assert serve._close(site.vault) == serve.EXIT_OK
