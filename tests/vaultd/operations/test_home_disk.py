"""Where an account stores: on its home disk, and where that is lost on a new one, from the next run on."""

import shutil
from pathlib import Path

import pytest

from tests.vaultd.operations.small_site import BackedUp, Site, make_site
from vaultd.catalog.accounts import read_account
from vaultd.operations import accounts, disks, upload
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor

SIZES = {"disk-1": 10 << 30, "disk-2": 20 << 30, "disk-3": 30 << 30}


class Sized(SystemDoor):
    """The last disk has the most room."""

    def space(self, path: Path) -> tuple[int, int]:
        free = next((size for name, size in SIZES.items() if name in path.parts), 1 << 40)
        return 1 << 40, free


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = make_site(tmp_path, disks=3)
    close_vault(made.vault)
    start(made)
    return made


def start(site: Site) -> None:
    site.vault = open_vault(site.config, site.clock, Sized())


def disk(site: Site, number: int) -> Path:
    return site.config.directory / f"disk-{number + 1}"


def home(site: Site, backed_up: BackedUp) -> int | None:
    """As the catalog has it."""
    with site.vault.catalog.read() as view:
        account = read_account(view, backed_up.job.account_id)
    assert account is not None
    return next((one.number for one in site.vault.store.disks.online if one.disk_id == account.home_disk), None)


def stores_on(site: Site, backed_up: BackedUp) -> int:
    return upload.facts(site.vault, backed_up.agent.identity, backed_up.sealer.run_id).home_disk


def test_an_account_whose_home_was_replaced_gets_a_new_one_with_its_next_run(site: Site) -> None:
    backed_up = site.ready()
    assert (home(site, backed_up), stores_on(site, backed_up)) == (2, 2)
    close_vault(site.vault)
    shutil.rmtree(disk(site, 2))
    disk(site, 2).mkdir()
    (disk(site, 2) / "disk.new").touch()
    start(site)
    site.begin(backed_up)
    assert (home(site, backed_up), stores_on(site, backed_up)) == (2, 2)
    site.crash()
    assert home(site, backed_up) == 2
    assert accounts.show(site.vault, "acme").account.computers == 1
    close_vault(site.vault)


def test_where_its_home_is_lost_and_not_replaced_it_is_the_emptiest_that_is_here(site: Site) -> None:
    backed_up = site.ready()
    close_vault(site.vault)
    shutil.rmtree(disk(site, 2))
    start(site)
    site.begin(backed_up)
    assert home(site, backed_up) is None, "one that is away may come back"
    disks.declare_lost(site.vault, site.operator, "2")
    site.begin(backed_up)
    assert (home(site, backed_up), stores_on(site, backed_up)) == (1, 1)
    close_vault(site.vault)


def test_no_account_gets_a_disk_that_is_gone(site: Site) -> None:
    (disk(site, 2) / "disk.id").rename(disk(site, 2) / "gone")
    site.vault.store.look_after_disks()
    backed_up = site.ready()
    assert home(site, backed_up) == 1
    close_vault(site.vault)
