"""The frozen store, unpacked anew for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.frozen.frozen_store import FrozenSite


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[FrozenSite]:
    (tmp_path / "frozen").mkdir()
    site = FrozenSite(tmp_path / "frozen")
    yield site
    if site.daemon is not None:
        site.kill()


@pytest.fixture
def frozen(stopped: FrozenSite) -> FrozenSite:
    """With its daemon up."""
    stopped.start()
    return stopped
