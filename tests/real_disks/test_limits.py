"""Limits of the process (descriptors, size of a file, address space) are no damage, and nothing is lost by them."""

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ROOT, differences, environment
from tests.real_disks.conftest import MIB, Place, PlacedSite
from tests.real_disks.narrow_map import ROWS
from tests.real_disks.test_failed_calls import CONTAINER, failing, newest
from vaultd.store.index.index import Index

SPARE = 4
WAIT_SECONDS = 20


def set_limit(site: PlacedSite, kind: int, soft: int) -> None:
    assert site.daemon is not None
    _, hard = resource.prlimit(site.daemon.pid, kind)
    resource.prlimit(site.daemon.pid, kind, (soft, hard))


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_connections_without_descriptors_wait_and_the_daemon_lives(tmp_path: Path, place: Place) -> None:
    site = place(tmp_path / "vault")
    site.start()
    assert site.daemon is not None
    opened = Path(f"/proc/{site.daemon.pid}/fd")
    set_limit(site, resource.RLIMIT_NOFILE, 1 + SPARE + max(int(path.name) for path in opened.iterdir()))
    host, port = site.url.removeprefix("https://").split(":")
    with ExitStack() as connections:
        for _ in range(3 * SPARE):
            connections.enter_context(socket.create_connection((host, int(port))))
        wait_until(lambda: "Too many open files" in site.log_file.read_text())
    told = [line for line in site.log_lines() if line["event"] == "connections wait"]
    assert len(told) == 1
    assert "Traceback" not in site.log_file.read_text()
    set_limit(site, resource.RLIMIT_NOFILE, 1024)
    (site.source / "new").write_bytes(os.urandom(MIB))
    assert site.backup("pc", "home")["safeset"] == 2
    assert differences(site.source, site.restored_source("after")) == []


def test_the_daemon_raises_its_soft_limit_to_what_its_connections_need(tmp_path: Path, place: Place) -> None:
    site = place(tmp_path / "vault")
    site.settings["VAULTD_CONNECTIONS_MAX"] = "1500"
    site.starts_anew = True  # it gets the limit of this process
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        site.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert site.daemon is not None
    soft, _ = resource.prlimit(site.daemon.pid, resource.RLIMIT_NOFILE)
    assert soft >= 1500 + 128 + 16 + 100


def test_a_container_that_cannot_be_opened_for_want_of_descriptors_is_not_damaged(tmp_path: Path, place: Place) -> None:
    site = place(tmp_path / "vault")
    site.start()
    with failing(site, newest(site, CONTAINER), "openat", "EMFILE"):
        done = site.run_agent(
            "pc", "restore", "home", "--target", tmp_path / "refused", "--password-file", site.password("home")
        )
    assert done.exit_code == 8, done.error
    assert "the vault cannot read its disks just now" in done.error
    assert differences(site.source, site.restored_source("after")) == []
    assert site.backup("pc", "home")["uploaded_bytes"] < MIB // 4  # nothing of the file, which has a MiB
    assert site.stop() == 0
    checked = site.check()
    assert (checked.exit_code, checked.last["findings"]) == (0, [])


@pytest.mark.parametrize("room_bytes", [MIB, MIB + 512])
def test_a_write_that_is_cut_short_ends_the_daemon_and_is_sent_again(
    tmp_path: Path, place: Place, room_bytes: int
) -> None:
    site = place(tmp_path / "vault")
    site.start()
    set_limit(site, resource.RLIMIT_FSIZE, newest(site, CONTAINER).stat().st_size + room_bytes)
    (site.source / "new").write_bytes(os.urandom(3 * MIB // 2))  # one write
    done = site.run_impatient_agent("pc", "backup", "home")
    assert done.exit_code == 8, done.error
    assert site.wait() == 1
    site.start()
    assert site.backup("pc", "home")["safeset"] == 2
    assert differences(site.source, site.restored_source("after")) == []
    assert site.stop() == 0
    checked = site.check()
    assert (checked.exit_code, checked.last["findings"]) == (0, [])


def test_a_map_that_cannot_grow_stops_the_store_with_a_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.real_disks.narrow_map", str(tmp_path / "index")],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    applied, sentence = done.stdout.split(" ", 1)
    assert "the index transaction failed" in sentence
    assert "Cannot allocate memory" in sentence
    index = Index.open(tmp_path / "index", bytes(16))
    assert index.record_count() == int(applied) * ROWS > 0
    index.close()
