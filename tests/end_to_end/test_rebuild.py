"""Index and catalog are deleted, one command brings everything back: lists, restores and backups go on as before."""

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import ROOT, Site, differences, environment, restored, run_program
from tests.vaultd.operations.image_dump import dump_catalog, dump_index
from tests.vaultd.store.fakes import flip

COMPUTERS = {"acme": "laptop", "bolt": "server"}


def write_tree(root: Path, seed: int) -> Path:
    for number in range(12):
        path = root / f"part-{number % 3}" / f"file-{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([seed, number]) * 9_000 + os.urandom(60_000))
    return root


def back_up(site: Site, account: str) -> dict[str, Any]:
    return site.backup(COMPUTERS[account], f"job-{account}")


def make_killed(directory: Path, accounts: Sequence[str], safesets: int) -> Site:
    """A vault of two disks that was killed after the backups."""
    site = Site(directory, disks=2)
    site.start()
    for seed, account in enumerate(accounts):
        site.create_account(account)
        site.register(account, COMPUTERS[account])
        source = directory / account
        site.create_job(account, COMPUTERS[account], f"job-{account}", source)
        for number in range(safesets):
            write_tree(source / f"tree-{number}", seed)
            back_up(site, account)
    site.kill()
    return site


def lists(site: Site) -> list[Any]:
    """What an operator and the administrators see."""
    seen = [site.run_operator("account", "list").last]
    for account, computer in COMPUTERS.items():
        seen += [
            site.run_administrator(account, "computer", "list").last,
            site.run_administrator(account, "job", "show", computer, f"job-{account}").last,
            # The vault has to look at all of them once where the index is new.
            [
                {key: value for key, value in one.items() if key != "in_doubt"}
                for one in site.run_administrator(account, "safeset", "list", computer, f"job-{account}").last
            ],
        ]
    return seen


def lose_images(site: Site) -> None:
    for name in ("index", "catalog"):
        shutil.rmtree(site.vault / name)


def test_everything_comes_back(tmp_path: Path) -> None:
    killed = make_killed(tmp_path, list(COMPUTERS), 2)
    killed.start()
    before = lists(killed)
    busy = run_program("vaultd", "rebuild", killed.vault)
    assert (busy.exit_code, busy.last["code"]) == (6, "conflict")
    killed.stop()
    images = dump_index(killed.vault), dump_catalog(killed.vault)
    lose_images(killed)
    done = run_program("vaultd", "rebuild", killed.vault)
    assert done.exit_code == 0, done.error
    assert {line["type"] for line in done.lines[:-1]} == {"status"}
    assert done.last["type"] == "summary"
    counted = {
        name: done.last[name] for name in ("accounts", "computers", "jobs", "safesets", "records_in_index", "damaged")
    }
    wanted = {"accounts": 2, "computers": 2, "jobs": 2, "safesets": 4, "records_in_index": len(images[0].records)}
    assert counted == wanted | {"damaged": False}
    assert (dump_index(killed.vault).records, dump_catalog(killed.vault)) == (images[0].records, images[1])
    assert killed.check().exit_code == 0
    killed.start()
    assert without_visits(lists(killed)) == without_visits(before)
    for account, computer in COMPUTERS.items():
        summary = back_up(killed, account)
        assert summary["uploaded_bytes"] < summary["protected_bytes"] / 20
        killed.restore(computer, f"job-{account}", tmp_path / f"back-{account}")
        assert differences(tmp_path / account, restored(tmp_path / f"back-{account}", tmp_path / account)) == []
    killed.stop()
    assert killed.check().exit_code == 0
    after = dump_index(killed.vault).records
    assert {name: after[name] for name in images[0].records} == images[0].records, "none was sent again"


def without_visits(seen: Any) -> Any:
    """When a computer was seen last is the only thing that a start may change."""
    if isinstance(seen, dict):
        return {key: without_visits(value) for key, value in seen.items() if key != "last_seen"}
    return [without_visits(one) for one in seen] if isinstance(seen, list) else seen


def shown_on_a_terminal(site: Site) -> tuple[int, str]:
    """(exit code, standard error)"""
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "vaultd", "rebuild", str(site.vault)],
        cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=theirs, check=False,
    )  # fmt: skip
    os.close(theirs)
    line = os.read(ours, 10_000).decode()
    os.close(ours)
    return done.returncode, line


def test_what_people_and_scripts_see_after_a_kill_and_of_damage(tmp_path: Path) -> None:
    site = make_killed(tmp_path, ["acme"], 1)
    words = [sys.executable, "-m", "vaultd", "rebuild", str(site.vault)]
    plain = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert (plain.returncode, plain.stderr) == (0, "")
    assert "1 safeset" in plain.stdout
    exit_code, line = shown_on_a_terminal(site)
    assert exit_code == 0
    assert "reading containers 0 of " in line
    assert line.endswith("\r\x1b[K"), "the line is gone at the end"
    lose_images(site)
    site.disks[1].rename(tmp_path / "away")
    done = run_program("vaultd", "rebuild", site.vault)
    assert (done.exit_code, done.last["offline_disks"], done.last["safesets"]) == (3, [str(site.disks[1])], 1)
    (tmp_path / "away").rename(site.disks[1])
    (path, *_) = sorted(site.vault.glob("disk-*/containers/*/*.container"))
    flip(path, 4096 + 200)
    lose_images(site)
    done = run_program("vaultd", "rebuild", site.vault)
    assert done.exit_code == 9
    assert done.last["damaged"] is True
    findings = [line for line in done.lines if line["type"] == "finding"]
    assert any(one["severity"] == "damage" and str(path) in one["place"] for one in findings)


def test_what_lay_on_a_lost_disk_is_not_said_to_be_back(tmp_path: Path) -> None:
    site = make_killed(tmp_path, ["acme"], 1)
    (number,) = [n for n, disk in enumerate(site.disks) if any(disk.glob("containers/*/*.container"))]
    site.disks[number].rename(tmp_path / "away")
    site.disks[number].mkdir()
    site.start()
    assert site.run_operator("disk", "lost", str(number), "--yes").exit_code == 0
    site.stop()
    (site.disks[number] / "disk.new").touch()
    lose_images(site)
    words = [sys.executable, "-m", "vaultd", "rebuild", str(site.vault)]
    done = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "on disks that are lost" in done.stdout
    assert "no damage found" not in done.stdout
    assert run_program("vaultd", "check", site.vault).exit_code == 9


@pytest.mark.parametrize(
    ("name", "hint"), [("vault.toml", "the directory that `vaultd init` made"), ("signing.key", "the operator's copy")]
)
def test_without_settings_or_keys(stopped_site: Site, name: str, hint: str) -> None:
    (stopped_site.vault / name).unlink()
    done = run_program("vaultd", "rebuild", stopped_site.vault)
    assert done.exit_code == 4
    assert name in done.last["message"]
    assert hint in done.last["hint"]
