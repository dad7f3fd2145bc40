"""What was backed up comes back identical, as rsync sees it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.end_to_end.conftest import MODULES, Site, differences, restored
from tests.support.trees import change_tree, write_tree


@pytest.mark.parametrize("cipher", ["aes-256-cbc", "aes-256-gcm"])
def test_tree_comes_back_identical(site: Site, tmp_path: Path, cipher: str) -> None:
    tree = write_tree(tmp_path / "tree")
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", tree, "--cipher", cipher)
    first = site.backup("pc", "all")
    assert first["safeset"] == 1
    shutil.copytree(tree, tmp_path / "before", symlinks=True)
    change_tree(tree)
    second = site.backup("pc", "all")
    assert second["safeset"] == 2
    assert second["uploaded_bytes"] < first["uploaded_bytes"] / 2
    summary = site.restore("pc", "all", tmp_path / "new")
    assert differences(tree, restored(tmp_path / "new", tree)) == []
    assert summary["files"] == second["files"]
    site.restore("pc", "all", tmp_path / "old", "--safeset", 1)
    old = restored(tmp_path / "old", tree)
    assert sorted(p.relative_to(old) for p in old.rglob("*")) == sorted(
        p.relative_to(tmp_path / "before") for p in (tmp_path / "before").rglob("*")
    )
    for path in (tmp_path / "before").rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert (old / path.relative_to(tmp_path / "before")).read_bytes() == path.read_bytes()
    assert site.stop() == 0
    assert site.check().exit_code == 0


def test_an_unchanged_run_sends_nothing_but_its_root(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = write_tree(tmp_path / "tree")
    monkeypatch.setitem(MODULES, "vault-agent", "tests.end_to_end.still_agent")
    monkeypatch.setenv("STILL_TREE", str(tree))
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", tree)
    site.backup("pc", "all")
    (tmp_path / "somebody wrote here").touch()
    again = site.backup("pc", "all")
    assert again["safeset"] == 2
    assert (again["new_chunks"], again["bytes_read"]) == (0, 0)


def test_one_path_restores_alone(site: Site, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree")
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", tree)
    site.backup("pc", "all")
    wanted = tree / "dir-1" / "sub-1"
    site.restore("pc", "all", tmp_path / "some", str(wanted))
    assert differences(wanted, restored(tmp_path / "some", wanted)) == []
    assert [p.name for p in restored(tmp_path / "some", tree).iterdir()] == ["dir-1"]


def test_a_tree_stored_twice_is_stored_once(site: Site, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "twice" / "one")
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", tmp_path / "twice")
    first = site.backup("pc", "all")
    shutil.copytree(tree, tmp_path / "twice" / "two", symlinks=True)
    second = site.backup("pc", "all")
    assert second["uploaded_bytes"] < first["uploaded_bytes"] * 0.02


def test_what_was_acknowledged_survives_a_killed_daemon(site: Site, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree")
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", tree)
    site.backup("pc", "all")
    site.kill()
    site.start()
    site.restore("pc", "all", tmp_path / "new")
    assert differences(tree, restored(tmp_path / "new", tree)) == []


def test_two_disks_hold_journal_and_checkpoints_twice(tmp_path: Path) -> None:
    site = Site(tmp_path, disks=2)
    site.start()
    try:
        tree = write_tree(tmp_path / "tree", small_files=20)
        site.create_account("acme")
        site.register("acme", "pc")
        site.create_job("acme", "pc", "all", tree)
        site.backup("pc", "all")
        assert site.stop() == 0
    finally:
        if site.daemon is not None:
            site.kill()
    for name in ("journal", "checkpoints"):
        first, second = ({p.name: p.read_bytes() for p in (disk / name).iterdir()} for disk in site.disks)
        assert first == second != {}
    assert site.check().exit_code == 0
