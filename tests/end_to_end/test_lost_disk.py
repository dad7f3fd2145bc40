"""The first of two disks is wiped: the vault goes on with the second alone, names what is hit, restores the rest."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import Done, Site, differences, restored
from tests.support.trees import write_tree

ACCOUNTS = ("alpha", "beta")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, disks=2)
    yield site
    if site.daemon is not None:
        site.kill()


def with_one_disk(site: Site, number: int, account: str) -> None:
    """Makes the account while only this disk is here: it becomes its home."""
    other = site.disks[1 - number]
    away = other.with_name("away")
    other.rename(away)
    site.start()
    site.create_account(account)
    site.stop()
    away.rename(other)
    site.start()  # brings the copies up to each other
    site.stop()


def prepare(site: Site, account: str) -> Path:
    tree = write_tree(site.directory / f"{account}-tree", seed=len(account), small_files=8)
    site.register(account, f"{account}-pc")
    site.create_job(account, f"{account}-pc", f"{account}-job", tree)
    site.backup(f"{account}-pc", f"{account}-job")
    return tree


def restore(site: Site, account: str, target: Path) -> Done:
    return site.run_agent(
        f"{account}-pc", "restore", f"{account}-job", "--target", target,
        "--password-file", site.password(f"{account}-job"),
    )  # fmt: skip


def seen(site: Site) -> list[Any]:
    """Accounts, computers, jobs and safesets as their people see them."""
    found = [site.run_operator("account", "list").last]
    for account in ACCOUNTS:
        found.append(site.run_administrator(account, "job", "show", f"{account}-pc", f"{account}-job").last)
        found.append(site.run_administrator(account, "safeset", "list", f"{account}-pc", f"{account}-job").last)
    return found


def named(hits: list[dict[str, Any]]) -> list[tuple[str, str, str, int]]:
    assert all(hit["records"] > 0 for hit in hits)
    return [(hit["account"], hit["computer"], hit["job"], hit["number"]) for hit in hits]


ALL_HIT = [("alpha", "alpha-pc", "alpha-job", 1), ("alpha", "alpha-pc", "alpha-job", 2)]


def test_the_second_disk_carries_the_vault_and_what_the_first_held_is_named(site: Site, tmp_path: Path) -> None:
    for number, account in enumerate(ACCOUNTS):
        with_one_disk(site, number, account)
    site.start()
    trees = {account: prepare(site, account) for account in ACCOUNTS}
    (trees["alpha"] / "later").write_bytes(b"stored by the second run")
    assert site.backup("alpha-pc", "alpha-job")["safeset"] == 2
    online = site.run_operator("disk", "list").last
    assert [(one["number"], one["state"], one["safesets_hit"]) for one in online] == [
        (0, "online", None),
        (1, "online", None),
    ]
    assert all(one["containers"] == len(list(disk.glob("containers/*/*.container"))) == 1
               for one, disk in zip(online, site.disks, strict=True))  # fmt: skip
    refused = site.run_operator("disk", "lost", "0", "--yes")
    assert (refused.exit_code, refused.last["code"]) == (6, "conflict")
    before = seen(site)
    site.stop()

    shutil.rmtree(site.disks[0])
    shutil.rmtree(site.vault / "catalog")  # checkpoint and journal of the second disk are all there is
    site.start()
    assert seen(site) == before
    first, second = site.run_operator("disk", "list").last
    assert (first["number"], first["state"], first["safesets_hit"]) == (0, "offline", 2)
    assert (second["number"], second["state"], second["safesets_hit"]) == (1, "online", None)
    status = site.run_operator("status").last
    assert status["offline_disks"] == [str(site.disks[0])]
    assert "journal, checkpoints and erase keys are on one disk only" in status["warnings"][0]
    assert restore(site, "beta", tmp_path / "beta").exit_code == 0
    assert differences(trees["beta"], restored(tmp_path / "beta", trees["beta"])) == []
    assert restore(site, "alpha", tmp_path / "offline").exit_code == 8

    for account in ACCOUNTS:
        assert site.run_administrator(account, "disk", "lost", "0", "--yes").exit_code == 5
    assert named(site.run_operator("disk", "lost", "0", "--dry-run").last["hit"]) == ALL_HIT
    done = site.run_operator("disk", "lost", "0", "--yes")
    assert (done.exit_code, done.last["disk"]["state"], named(done.last["hit"])) == (0, "lost", ALL_HIT)
    assert site.run_operator("disk", "list").last[0]["state"] == "lost"
    assert restore(site, "alpha", tmp_path / "lost").exit_code == 9
    assert site.backup("alpha-pc", "alpha-job")["safeset"] == 3
    assert restore(site, "alpha", tmp_path / "alpha").exit_code == 0
    assert differences(trees["alpha"], restored(tmp_path / "alpha", trees["alpha"])) == []

    site.stop()
    checked = site.check()
    assert checked.exit_code == 9
    places = {one["place"] for one in checked.last["findings"] if one["place"].startswith("account ")}
    assert places == {f"account alpha, computer alpha-pc, job alpha-job, safeset {number}" for number in (1, 2)}
