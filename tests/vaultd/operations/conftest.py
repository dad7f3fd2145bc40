"""A fresh vault for each test, closed at its end; and one with some of everything, ended."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vaultd.operations.rich_site import Rich, make_rich
from tests.vaultd.operations.small_site import Site, make_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = make_site(tmp_path)
    yield site
    site.vault.catalog.close()
    site.vault.store.close()
    site.vault.lock.close()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Rich:
    return make_rich(make_site(tmp_path_factory.mktemp("rich")))


@pytest.fixture
def rich(template: Rich, tmp_path: Path) -> Iterator[Rich]:
    """A copy for this test."""
    copy = template.copy_to(tmp_path)
    yield copy
    if copy.site.vault is not template.site.vault:
        copy.end()
