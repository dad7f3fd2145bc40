"""The vault is brought back from an older copy, disks and all: an agent that saw more notices it and sends nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Site, differences, restored
from tests.support.trees import write_tree

HARMLESS = {"hello", "agent.jobs", "unknown"}


@pytest.fixture
def rolled_back(site: Site, tmp_path: Path) -> tuple[Site, Path]:
    """A copy of the vault with one safeset is in the place of the vault that had three."""
    tree = write_tree(tmp_path / "tree", small_files=5)
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", tree)
    site.backup("pc", "all")
    site.stop()
    shutil.copytree(site.vault, tmp_path / "older")
    site.start()
    for number in (2, 3):
        (tree / str(number)).write_bytes(b"more")
        assert site.backup("pc", "all")["safeset"] == number
    site.stop()
    site.vault.rename(tmp_path / "newer")
    (tmp_path / "older").rename(site.vault)
    site.start()
    return site, tree


def test_a_run_sends_nothing_and_says_what_to_do(rolled_back: tuple[Site, Path], tmp_path: Path) -> None:
    site, tree = rolled_back
    before = len(site.log_lines())
    done = site.run_agent("pc", "backup", "all")
    assert (done.exit_code, done.last["code"]) == (9, "damaged")
    assert done.last["message"] == (
        "the vault went back in time or lost safesets: its newest safeset of this job is 1, but it countersigned"
        " safeset 3"
    )
    assert {line["method"] for line in site.log_lines()[before:] if "method" in line} <= HARMLESS
    assert len(site.run_administrator("acme", "safeset", "list", "pc", "all").last) == 1
    (head,) = site.state("pc").rglob("head.json")
    assert (
        "nothing was sent; ask the vault's operator. If the vault was brought back from an older copy"
        in done.last["hint"]
    )
    assert f"remove {head}" in done.last["hint"]
    head.unlink()
    assert site.backup("pc", "all")["safeset"] == 2
    site.restore("pc", "all", tmp_path / "back")
    assert differences(tree, restored(tmp_path / "back", tree)) == []


def test_a_restore_of_the_latest_says_that_there_was_a_later_one(
    rolled_back: tuple[Site, Path], tmp_path: Path
) -> None:
    site, _ = rolled_back
    words = ("restore", "all", "--target", tmp_path / "back", "--password-file", site.password("all"))
    done = site.run_agent("pc", *words)
    assert (done.exit_code, done.last["code"]) == (9, "damaged")
    assert done.last["message"] == "the vault calls safeset 1 its latest, but it countersigned safeset 3"
    assert done.last["hint"] == "to restore what it has, name it: --safeset 1"
    assert not (tmp_path / "back").exists()
    assert site.run_agent("pc", *words, "--safeset", 1).exit_code == 0


def test_the_copy_that_is_put_back_goes_on(rolled_back: tuple[Site, Path], tmp_path: Path) -> None:
    site, _ = rolled_back
    site.stop()
    shutil.rmtree(site.vault)
    (tmp_path / "newer").rename(site.vault)
    site.start()
    assert site.backup("pc", "all")["safeset"] == 4
