"""A program that crashes leaves no core file: it would hold passwords and keys."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.end_to_end.conftest import MODULES, ROOT, Site, environment


@pytest.fixture
def starts_anew() -> bool:
    return True


def core_limits(pid: int) -> list[str]:
    """(soft, hard)"""
    (line,) = [one for one in Path(f"/proc/{pid}/limits").read_text().splitlines() if one.startswith("Max core file")]
    return line.split()[4:6]


@pytest.fixture
def cores_allowed() -> Iterator[None]:
    """As on a computer whose owner collects core files: programs that are started now may leave them."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


def test_no_program_leaves_a_core_file(cores_allowed: None, site: Site) -> None:
    """The programs wait for a vault that accepts the connection and says nothing."""
    assert site.daemon is not None
    assert core_limits(site.daemon.pid) == ["0", "0"]
    site.create_account("acme")
    site.register("acme", "pc")
    site.stop()
    host, port = urlsplit(site.url).netloc.rsplit(":", 1)
    with socket.create_server((host, int(port))) as listener:
        for program, words in {
            "vault-agent": ["--state", site.state("pc"), "backup", "all"],
            "vaultctl": ["--context", site.context("acme"), "status"],
        }.items():
            command = [sys.executable, "-m", MODULES[program], *map(str, words)]
            with subprocess.Popen(command, cwd=ROOT, env=environment()) as process:
                try:
                    connection, _ = listener.accept()
                    assert core_limits(process.pid) == ["0", "0"]
                    connection.close()
                finally:
                    process.kill()
