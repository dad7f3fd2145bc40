"""A disk of the vault is lost for good: another one takes its place, and the next run brings everything back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Done, Site, differences, restored
from tests.support.trees import write_tree


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, disks=2)
    site.start()
    yield site
    if site.daemon is not None:
        site.stop()


def restore(site: Site, target: Path) -> Done:
    return site.run_agent("pc", "restore", "all", "--target", target, "--password-file", site.password("all"))


def test_the_next_run_brings_back_what_lay_on_it(site: Site, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", small_files=10)
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", tree)
    site.backup("pc", "all")
    site.stop()
    (home,) = {path.parents[2] for disk in site.disks for path in disk.glob("containers/*/*.container")}
    shutil.rmtree(home)
    home.mkdir()
    site.start()
    away = restore(site, tmp_path / "away")
    assert (away.exit_code, "offline" in away.error) == (8, True)
    assert site.run_agent("pc", "backup", "all").exit_code == 8
    site.stop()
    assert [line for line in site.log_lines() if line["event"] == "disk taken"] == []
    (home / "disk.new").touch()
    site.start()
    (taken,) = (line for line in site.log_lines() if line["event"] == "disk taken")
    assert (taken["place"], taken["number"]) == (str(home), site.disks.index(home))
    lost = restore(site, tmp_path / "lost")
    assert (lost.exit_code, "the list of files of this safeset" in lost.error) == (9, True)
    assert site.backup("pc", "all")["safeset"] == 2
    assert restore(site, tmp_path / "new").exit_code == 0
    assert differences(tree, restored(tmp_path / "new", tree)) == []
    site.stop()
    findings = [finding for finding in site.check().last["findings"] if finding["severity"] == "damage"]
    named = [finding["place"].split()[-2:] for finding in findings]
    assert named == [["safeset", "1"]]  # its payload went with the disk
