"""A record that lies on two disks, because it was sent again while one was taken for lost: the copy that is here counts
when the other one's disk is lost.
"""

import os
import shutil
from pathlib import Path

import pytest

from tests.vaultd.operations.disk_case import Case
from tests.vaultd.operations.sealing import DATA, id_of
from vaultd.operations import upload
from vaultd.operations.rebuild import rebuild_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.index.reading_progress import tell_nobody


class TwoCopies(Case):
    """The record of `plain` is stored on the third disk first, on the second one later."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(root, monkeypatch)
        self.plain = os.urandom(50)
        self.start()
        self.first = self.store_plain(2)
        self.stop()

    @property
    def index(self) -> Path:
        return self.site.config.directory / "index"

    def store_plain(self, number: int) -> bytes:
        self.monkeypatch.setattr(upload, "home_disk_number", lambda *_: number)
        record = self.backed_up.sealer.record(DATA, self.plain)
        self.site.upload(self.backed_up, record)
        return record

    def send_again(self) -> None:
        self.start()
        self.second = self.store_plain(1)
        assert id_of(self.second) == id_of(self.first)
        self.stop()

    def rebuild_index(self) -> None:
        rebuild_vault(self.site.config, self.site.clock, SystemDoor(), tell_nobody, index_only=True)

    def seen(self) -> tuple[object, bool]:
        self.start()
        try:
            return self.fetch(self.first), self.is_missing(self.first)
        finally:
            self.stop()


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwoCopies:
    return TwoCopies(tmp_path, monkeypatch)


def test_an_older_index_that_knows_the_lost_copy_only_learns_of_the_other_one(case: TwoCopies, tmp_path: Path) -> None:
    """The index was lost while the record was sent again, so the journal does not say that it took another's place."""
    shutil.copytree(case.index, tmp_path / "older")
    case.take_away(2)
    shutil.rmtree(case.index)
    case.declare("2")
    case.send_again()
    shutil.rmtree(case.index)
    shutil.copytree(tmp_path / "older", case.index)
    for _ in range(2):
        assert case.seen() == (case.second, False)


def test_a_disk_that_comes_back_brings_the_copy_that_counts_where_the_other_one_is_lost(case: TwoCopies) -> None:
    """The index was made anew without the disk, and knows what was sent again only."""
    case.take_away(2)
    shutil.rmtree(case.index)
    case.declare("2")
    case.send_again()
    case.take_away(1)
    case.declare("1")
    case.bring_back(2)
    case.undo("2")
    assert case.seen() == (case.first, False)


def test_a_new_index_finds_the_older_copy_of_what_was_sent_again_to_a_disk_that_is_lost(case: TwoCopies) -> None:
    """The index has one row for a record, and it named the newer one."""
    case.take_away(2)
    case.declare("2")
    case.send_again()
    case.undo("2")
    case.bring_back(2)
    case.take_away(1)
    case.declare("1")
    case.rebuild_index()
    assert case.seen() == (case.first, False)
