"""The journal's last entry was acknowledged and has a wrong bit in every copy, and index and catalog are lost: nothing
of it is destroyed, and a start that has to be refused has changed nothing.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.vaultd.operations.small_site import Site
from vaultd.errors import Damaged
from vaultd.operations import accounts
from vaultd.operations.rebuild import rebuild_vault
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.findings import Finding, Severity
from vaultd.store.index.reading_progress import tell_nobody

NAME = "the last one"


def start(site: Site) -> None:
    site.vault = open_vault(site.config, site.clock, SystemDoor())


def rebuild(site: Site) -> None:
    rebuild_vault(site.config, site.clock, SystemDoor(), tell_nobody, index_only=False)


def end_suddenly(site: Site) -> None:
    site.vault.catalog.close()
    site.vault.store.close()
    site.vault.lock.close()


def lose_images(site: Site) -> None:
    for name in ("index", "catalog"):
        shutil.rmtree(site.config.directory / name)


def copies(site: Site) -> list[Path]:
    return sorted(path for disk in site.config.disks for path in disk.glob("journal/*.journal"))


def on_disks(site: Site) -> dict[Path, bytes]:
    return {path: path.read_bytes() for disk in site.config.disks for path in disk.rglob("*") if path.is_file()}


def damage_last_entry(site: Site) -> dict[Path, bytes]:
    """The copies as they were before."""
    whole = {path: path.read_bytes() for path in copies(site)}
    assert len({path.name for path in whole}) == 1
    for path, data in whole.items():
        path.write_bytes(data[:-40] + bytes([data[-40] ^ 1]) + data[-39:])
    return whole


def names(site: Site) -> set[str]:
    return {account.name for account in accounts.list_all(site.vault)}


def of_journal(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.place.endswith(".journal")]


@pytest.fixture
def stopped(site: Site) -> tuple[Site, dict[Path, bytes]]:
    """In an orderly way: the checkpoint has applied the entry."""
    accounts.create_account(site.vault, site.operator, "before")
    accounts.create_account(site.vault, site.operator, NAME)
    close_vault(site.vault)
    lose_images(site)
    return site, damage_last_entry(site)


@pytest.mark.parametrize("attempt", [start, rebuild])
def test_a_start_that_the_checkpoint_refuses_has_changed_nothing(
    stopped: tuple[Site, dict[Path, bytes]], attempt: Callable[[Site], None]
) -> None:
    site, whole = stopped
    before = on_disks(site)
    for _ in range(2):
        with pytest.raises(Damaged, match="the checkpoint has applied entry .* but the journal ends at entry"):
            attempt(site)
        assert on_disks(site) == before
    next(iter(whole)).write_bytes(next(iter(whole.values())))  # one whole copy is enough
    attempt(site)
    if attempt is rebuild:
        start(site)
    assert names(site) == {"before", NAME}
    assert {path: path.read_bytes() for path in copies(site)} == whole


@pytest.mark.parametrize("attempt", [start, rebuild])
def test_who_moves_the_named_checkpoint_away_goes_on_without_the_entry(
    stopped: tuple[Site, dict[Path, bytes]], attempt: Callable[[Site], None]
) -> None:
    site, whole = stopped
    damaged = {path: path.read_bytes() for path in whole}
    with pytest.raises(Damaged) as refused:
        attempt(site)
    (name,) = (word for word in refused.value.hint.split() if word.endswith(".checkpoint"))
    for disk in site.config.disks:
        (disk / "checkpoints" / name).rename(disk / name)
    attempt(site)
    if attempt is rebuild:
        start(site)
    assert names(site) == {"before"}
    for path, data in damaged.items():
        (kept,) = path.parent.glob("*.unacknowledged")
        left = path.read_bytes()
        cut = int(kept.name.split(".")[2], 16)
        assert left[:cut] + kept.read_bytes() == data


def test_after_a_sudden_end_it_is_kept_and_told_as_what_it_may_be(site: Site) -> None:
    """No checkpoint knows of it."""
    accounts.create_account(site.vault, site.operator, "before")
    accounts.create_account(site.vault, site.operator, NAME)
    end_suddenly(site)
    lose_images(site)
    damage_last_entry(site)
    damaged = {path: path.read_bytes() for path in copies(site)}
    start(site)
    findings = of_journal(site.vault.recovery.findings)
    assert {finding.severity for finding in findings} == {Severity.damage}
    assert "never acknowledged" not in "".join(finding.sentence for finding in findings)
    for path, data in damaged.items():
        (kept,) = path.parent.glob("*.unacknowledged")
        assert data.endswith(kept.read_bytes())
        assert NAME.encode() in kept.read_bytes()
        told = [finding.sentence for finding in findings if finding.place == str(path)]
        assert any(kept.name in sentence and "neither index nor catalog says" in sentence for sentence in told)


@pytest.mark.parametrize("lost", [(), ("index",), ("catalog",)])
def test_where_an_image_says_where_the_journal_ends_a_torn_tail_is_cut(site: Site, lost: tuple[str, ...]) -> None:
    """As it was written when the vault was killed: nobody got an answer."""
    accounts.create_account(site.vault, site.operator, "before")
    end_suddenly(site)
    for name in lost:
        shutil.rmtree(site.config.directory / name)
    whole = {path: path.read_bytes() for path in copies(site)}
    for path, data in whole.items():
        path.write_bytes(data + data[96:150])
    start(site)
    assert {path: path.read_bytes() for path in copies(site)} == whole
    assert {path.suffix for disk in site.config.disks for path in disk.glob("journal/*")} == {".journal"}
    assert {finding.severity for finding in of_journal(site.vault.recovery.findings)} == {Severity.warning}
