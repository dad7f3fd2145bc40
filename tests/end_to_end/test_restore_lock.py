"""Two restores into one directory at the same time, with the real programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.end_to_end.conftest import ROOT, SLOWLY, Site, differences, environment, restored
from tests.end_to_end.test_ordered_restore import order
from tests.end_to_end.test_service import serving
from tests.support.trees import write_tree

# A restore behind these words stands still when it is about to give its first file a time.
HALTED = [*SLOWLY[:-4], "-e", "trace=utimensat", "-e", "inject=utimensat:delay_enter=600000000:when=1"]


def office_of(site: Site, tree: Path) -> Site:
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "small", write_tree(tree, small_files=20))
    site.backup("pc", "small")
    return site


def words_of(site: Site, target: Path) -> list[object]:
    return ["restore", "small", "--target", target, "--password-file", site.password("small")]


def halted_restore(site: Site, target: Path) -> subprocess.Popen[bytes]:
    """Returns when it is in the middle; one that ends without standing still fails the test."""
    words = [*HALTED, sys.executable, "-m", "tools.agent", "--state", site.state("pc"), *words_of(site, target)]
    process = subprocess.Popen(
        list(map(str, words)),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not any(target.rglob(".*")):
        assert process.poll() is None
    return process


def test_a_second_restore_into_the_same_directory_is_refused(site: Site, tmp_path: Path) -> None:
    office = office_of(site, tmp_path / "small")
    first = halted_restore(office, tmp_path / "back")
    try:
        refused = office.run_agent("pc", *words_of(office, tmp_path / "back"))
        assert (refused.exit_code, refused.last["code"]) == (6, "conflict")
        assert office.run_agent("pc", *words_of(office, tmp_path / "other")).exit_code == 0
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    assert office.run_agent("pc", *words_of(office, tmp_path / "back")).exit_code == 0
    assert differences(tmp_path / "small", restored(tmp_path / "back", tmp_path / "small")) == []


def test_an_ordered_one_waits_for_its_turn(site: Site, tmp_path: Path) -> None:
    office = office_of(site, tmp_path / "small")
    first = halted_restore(office, tmp_path / "back")
    try:
        with serving(office):
            order(office, tmp_path / "back")
            log = office.directory / "pc.service.log"
            while "its end is waited for" not in log.read_text():
                assert first.poll() is None
            os.killpg(first.pid, signal.SIGKILL)
            while office.run_administrator("acme", "safeset", "restores").last[0]["state"] != "done":
                pass
    finally:
        if first.poll() is None:
            os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    assert differences(tmp_path / "small", restored(tmp_path / "back", tmp_path / "small")) == []
