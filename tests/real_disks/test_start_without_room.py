"""A start that has to write to a disk with nothing free: it says where to make room, and the next one is complete."""

from pathlib import Path

import pytest

from tests.real_disks.conftest import FILE_SYSTEMS, Mount
from tests.vaultd.store.fakes import create, make_record, make_settings, read, records, reopen
from vaultd.store.errors import NoSpace


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_a_copy_of_the_journal_that_has_no_room_is_made_when_there_is_some(
    tmp_path: Path, mount: Mount, kind: str
) -> None:
    disk = mount(kind, "disk")
    settings = make_settings(tmp_path, disks=2)
    (tmp_path / "disk1").rmdir()
    (tmp_path / "disk1").symlink_to(disk.path)
    store = create(settings)
    store.append(0, records(*range(40), size=4000))
    store.commit()
    store.close()
    whole = journal(tmp_path / "disk0")
    for path in (disk.path / "journal").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    disk.fill_to_the_last_block()
    with pytest.raises(NoSpace, match="the disk is full: .*/disk1.*; free space there and start again"):
        reopen(settings)
    assert journal(tmp_path / "disk0") == whole
    assert not list((disk.path / "journal").glob("*.tmp"))
    disk.make_room()
    reopened = reopen(settings)
    assert [read(reopened, seed) for seed in range(40)] == [make_record(seed, 4000) for seed in range(40)]
    reopened.close()
    assert journal(tmp_path / "disk1") == whole


def journal(disk: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (disk / "journal").iterdir()}
