"""A real store for the independent reader: two disks, both kinds of slot, two safesets, the daemon stopped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Site
from tests.support.trees import change_tree, write_tree


@dataclass(frozen=True)
class RealStore:
    directory: Path
    disk_paths: list[Path]
    password: str
    recovery_code: str
    source: Path


@pytest.fixture(scope="session")
def real_store(tmp_path_factory: pytest.TempPathFactory) -> RealStore:
    directory = tmp_path_factory.mktemp("real-store")
    source = write_tree(directory / "tree")
    site = Site(directory / "site", disks=2)
    site.start()
    try:
        site.create_account("acme")
        site.register("acme", "pc")
        code = site.create_job("acme", "pc", "all", source)
        site.backup("pc", "all")
        change_tree(source)
        site.backup("pc", "all")
        site.stop()
    finally:
        if site.daemon is not None:
            site.kill()
    return RealStore(site.vault, site.disks, site.password("all").read_text().strip(), code, source)
