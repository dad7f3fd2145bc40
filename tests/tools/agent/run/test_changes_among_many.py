"""Some changes among many files: what the second safeset shares with the first one is not written again, and comes."""

import os
import shutil

import pytest

from tests.tools.agent.conftest import Site, differences
from tools.client import manifest_writer

DIRECTORIES, FILES = 30, 100
MANIFEST_BLOCK = 2


@pytest.fixture(autouse=True)
def known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FINE_MARGIN_NS", "COARSE_MARGIN_NS", "WRITE_BACK_NS"):
        monkeypatch.setattr(f"tools.agent.scan.fingerprint.{name}", -(10**18))


async def test_what_comes_back_is_the_tree_with_its_changes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_writer, "_LEAF_CUT_BELOW", 2**64 // 64)  # some ten leaves
    for directory in range(DIRECTORIES):
        (site.source / f"{directory:02}").mkdir()
        for number in range(FILES):
            path = site.source / f"{directory:02}" / f"{number:03}"
            path.write_text(f"{directory} {number}\n" * (number % 7))
            os.utime(path, (directory, number))
    await site.back_up()
    (site.source / "00" / "new").write_text("new")
    (site.source / "15" / "050").write_text("changed")
    (site.source / "15" / "051").unlink()
    shutil.rmtree(site.source / "29")
    for _ in range(2):
        before = len(site.vault.ids_of_type(MANIFEST_BLOCK))
        await site.back_up()
        assert len(site.vault.ids_of_type(MANIFEST_BLOCK)) - before <= 6 < before
        shutil.rmtree(site.target, ignore_errors=True)
        await site.restore()
        assert differences(site.source, site.restored_source) == ""
        (site.source / "15" / "052").write_text("changed too")
