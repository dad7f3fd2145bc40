"""A fresh vault for each test, closed at its end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vaultd.operations.small_site import Site, make_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = make_site(tmp_path)
    yield site
    site.vault.catalog.close()
    site.vault.store.close()
    site.vault.lock.close()
