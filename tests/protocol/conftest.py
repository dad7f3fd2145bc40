"""Certificates are made once: making keys is the slow part."""

import pytest

from tests.protocol.support.certificates import Site, make_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"))
