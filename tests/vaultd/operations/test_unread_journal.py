"""Index and catalog are lost and the newest segment cannot be read: the start is refused, and the next one has all."""

import dataclasses
import shutil

import pytest

from tests.vaultd.operations.small_site import Site
from tests.vaultd.store.journal.test_unread_journal import UnreadDoor
from vaultd.errors import Internal
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor


@pytest.mark.parametrize("copies", [1, 2])
def test_a_refused_start_of_a_whole_vault_costs_nothing(site: Site, copies: int) -> None:
    close_vault(site.vault)
    site.config = dataclasses.replace(site.config, journal_segment_bytes=4096)
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    for number in range(10):
        site.administrator(f"a{number}")
    with site.vault.catalog.read() as view:
        expected = list(view.rows())
    close_vault(site.vault)
    for name in ("index", "catalog"):
        shutil.rmtree(site.config.directory / name)
    unread = [sorted(disk.glob("journal/*.journal"))[-1] for disk in site.config.disks[:copies]]
    held = {path: path.read_bytes() for disk in site.config.disks for path in disk.glob("journal/*")}
    with pytest.raises(Internal, match="cannot be read, .*: replace the disk or take it out of `disks`$"):
        open_vault(site.config, site.clock, UnreadDoor(*unread))
    assert {path: path.read_bytes() for disk in site.config.disks for path in disk.glob("journal/*")} == held
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    with site.vault.catalog.read() as view:
        assert list(view.rows()) == expected
