"""Vaults in the process of the tests."""

import os
import subprocess
from collections.abc import Sequence

import pytest

from tests.support.forked_programs import run_forked
from vaultd.image import probe

_SOON_SECONDS = 120.0


@pytest.fixture(autouse=True)
def _forked_looks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where many tests run in this process, the ones that look through images are forked: each vault that is opened has
    one, and a start costs more than most tests. `image/` has those that are started as by a vault.
    """
    is_started = "/vaultd/image/" in request.node.nodeid or "started_looks" in request.fixturenames
    if "PYTEST_XDIST_WORKER" in os.environ and not is_started:
        monkeypatch.setattr(probe, "_run", _run_forked)


@pytest.fixture
def started_looks() -> None:
    """For a test that changes what the start of a process needs, or the clock."""


def _run_forked(images: Sequence[probe.Image]) -> "subprocess.CompletedProcess[str]":
    return run_forked(probe.__name__, list(map(probe._words, images)), dict(os.environ), "", _SOON_SECONDS)
