"""The list of disks is written at a start: what fails there is told, and ends it where the store stopped."""

import dataclasses
import errno
import shutil
from pathlib import Path

import pytest

from tests.vaultd.operations.small_site import Site, make_site
from vaultd.errors import NoSpace, Unavailable
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import Handle, SystemDoor

TEN_YEARS_NS = 10 * 365 * 24 * 3600 * 1_000_000_000


@pytest.fixture
def moved(tmp_path: Path) -> Site:
    """Stopped, and its third disk has another path: the next start writes that down."""
    site = make_site(tmp_path, disks=3)
    site.administrator("acme")
    close_vault(site.vault)
    shutil.move(site.config.directory / "disk-3", site.config.directory / "third")
    disks = (*site.config.disks[:2], site.config.directory / "third")
    site.config = dataclasses.replace(site.config, disks=disks)
    return site


class FailingJournal(SystemDoor):
    def __init__(self, number: int) -> None:
        self.number = number

    def pwrite(self, handle: Handle, view: bytes | bytearray | memoryview, offset: int) -> None:
        if handle.path.suffix == ".journal":
            raise OSError(self.number, "not written")
        super().pwrite(handle, view, offset)


class Full(SystemDoor):
    def space(self, path: Path) -> tuple[int, int]:
        return 1 << 40, 0


@pytest.mark.parametrize(("number", "refusal"), [(errno.ENOSPC, NoSpace), (errno.EIO, Unavailable)])
def test_a_write_that_fails_ends_the_start(moved: Site, number: int, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        open_vault(moved.config, moved.clock, FailingJournal(number))
    moved.vault = open_vault(moved.config, moved.clock, SystemDoor())
    assert moved.vault.recovery.findings == []
    close_vault(moved.vault)


def test_a_full_disk_is_told_and_the_vault_starts(moved: Site) -> None:
    moved.vault = open_vault(moved.config, moved.clock, Full())
    (finding,) = moved.vault.recovery.findings
    assert "the list of disks is not written" in finding.sentence
    assert not moved.vault.store.is_broken
    moved.crash()
    assert moved.vault.recovery.findings == []
    close_vault(moved.vault)


def test_the_time_of_the_last_entry_is_that_before_the_start(moved: Site) -> None:
    """Also where the start writes an entry of its own."""
    stopped_ns, before = moved.clock.now_ns(), moved.vault.store.position.number
    moved.clock.time_ns -= TEN_YEARS_NS
    moved.vault = open_vault(moved.config, moved.clock, SystemDoor())
    assert moved.vault.store.position.number > before
    assert moved.vault.last_entry_ns == stopped_ns
    close_vault(moved.vault)
