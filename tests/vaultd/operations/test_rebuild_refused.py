"""Where a rebuild cannot come to its end, or would lose something, the old images stay as they are."""

import errno
import os
import shutil
import signal
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from pathlib import Path

import lmdb
import msgspec
import pytest

from tests.vaultd.operations.image_dump import dump_catalog, dump_index
from tests.vaultd.operations.rich_site import Rich
from tests.vaultd.operations.test_rebuild import (
    Change,
    another_history,
    bring_back_older,
    cut,
    lose,
    rebuild,
    require_equal,
    require_serves,
    spoil,
)
from tests.vaultd.store.fakes import flip, short_hash
from vaultd.catalog.database import Catalog
from vaultd.errors import Conflict, Damaged, Internal, NoSpace, NotFound, Unavailable, VaultError
from vaultd.operations.rebuild import rebuild_vault
from vaultd.operations.vault import open_vault
from vaultd.store.disk_door import Door, SystemDoor
from vaultd.store.errors import StoreBroken
from vaultd.store.index.index import Index
from vaultd.store.index.reading_progress import Reading, tell_nobody
from vaultd.store.index_rows import IndexBatch

DOOR = SystemDoor()


def images(rich: Rich) -> dict[Path, bytes]:
    return {
        path: path.read_bytes() for name in ("index", "catalog") for path in rich.directory.glob(f"{name}*/data.mdb")
    }


def require_refused(
    rich: Rich, kind: type[VaultError], message: str, door: Door = DOOR, *, index_only: bool = False
) -> VaultError:
    """Nothing of the images has changed, and nothing is beside them."""
    before = images(rich)
    with pytest.raises(kind, match=message) as raised:
        rebuild_vault(rich.site.config, rich.site.clock, door, tell_nobody, index_only=index_only)
    assert images(rich) == before
    assert sorted(rich.directory.glob("*.rebuilding")) == []
    return raised.value


def segments(rich: Rich, disk: int) -> list[Path]:
    return sorted((rich.directory / f"disk-{disk}/journal").glob("*.journal"))


def test_a_journal_that_lacks_what_the_index_has_applied(rich: Rich) -> None:
    """As when the disks' journals came from an older copy: the index knows that there was more."""
    for disk in (1, 2):
        for path in segments(rich, disk)[-3:]:
            path.unlink()
    number = rich.index.position[1]
    error = require_refused(rich, Damaged, rf"but entry {number} was acknowledged \(the index has applied it\)")
    assert "as they were" in error.hint
    with pytest.raises(Internal, match="the index has applied it"):
        open_vault(rich.site.config, rich.site.clock, SystemDoor())


def test_also_where_the_catalog_alone_can_say_so(rich: Rich) -> None:
    for disk in (1, 2):
        for path in segments(rich, disk)[-3:]:
            path.unlink()
    lose("index")(rich)
    require_refused(rich, Damaged, "the catalog has applied it")


@pytest.mark.parametrize("suffix", ["damaged", "damaged.newest"])
@pytest.mark.parametrize("name", ["index", "catalog"])
def test_also_where_only_an_image_that_was_set_aside_can_say_so(rich: Rich, name: str, suffix: str) -> None:
    """A start found it damaged, and was refused for the journal; its position can still be told."""
    path = rich.directory / name / "data.mdb"
    path.write_bytes(path.read_bytes().replace(b"keyrings", b"keyring!"))
    path.parent.rename(rich.directory / f"{name}.{suffix}")
    for disk in (1, 2):
        for segment in segments(rich, disk)[-3:]:
            segment.unlink()
    lose(*({"index", "catalog"} - {name}))(rich)
    number = rich.index.position[1]
    require_refused(
        rich, Damaged, rf"but entry {number} was acknowledged \(the image that was set aside has applied it"
    )
    (rich.directory / f"{name}.{suffix}").rename(rich.directory / "moved-away")
    rebuild(rich)


@pytest.mark.parametrize("index", ["there", "lost"])
def test_an_entry_that_is_damaged_in_every_copy_with_good_ones_behind(rich: Rich, index: str) -> None:
    """In the last segment."""
    for disk in (1, 2):
        flip(segments(rich, disk)[-1], 200)
    if index == "lost":
        lose("index", "catalog")(rich)
    require_refused(rich, Damaged, "acknowledged|good entries behind|ahead|has applied entry")


def test_an_old_segment_that_is_damaged_in_every_copy(rich: Rich) -> None:
    """The index alone knows what is in the container that was open then; the vault goes on with it."""
    for disk in (1, 2):
        flip(segments(rich, disk)[4], 200)
    require_refused(rich, Damaged, "damaged in every copy")
    require_serves(rich)


def test_a_format_of_a_later_version(rich: Rich) -> None:
    (path, *_) = sorted(rich.directory.glob("disk-*/containers/*/*.container"))
    data = bytearray(path.read_bytes())
    data[4] = 2
    data[44:52] = short_hash(bytes(data[:44]))
    path.write_bytes(data)
    require_refused(rich, Conflict, "later version")


def test_a_daemon_that_runs(rich: Rich) -> None:
    rich.open()
    require_refused(rich, Conflict, "is in use by another vaultd")


def take_away(rich: Rich, disk: int) -> None:
    (rich.directory / f"disk-{disk}").rename(rich.directory / "away")
    (rich.directory / f"disk-{disk}").mkdir()


def bring_back(rich: Rich, disk: int) -> None:
    (rich.directory / f"disk-{disk}").rmdir()
    (rich.directory / "away").rename(rich.directory / f"disk-{disk}")


@pytest.mark.parametrize("disk", [1, 2])
def test_a_disk_that_is_away_with_records_that_the_old_index_knows(rich: Rich, disk: int) -> None:
    take_away(rich, disk)
    error = require_refused(rich, Unavailable, f"a disk is offline .*disk-{disk}")
    assert "bring the disk back" in error.hint
    bring_back(rich, disk)
    rebuild(rich)
    require_equal(rich)


def test_of_the_index_alone_it_says_no_more_than_is_true(rich: Rich) -> None:
    """The catalog is older than the journal, and is caught up before the refusal."""
    bring_back_older("catalog")(rich)
    catalog, index = (rich.directory / name / "data.mdb" for name in ("catalog", "index"))
    before = catalog.read_bytes(), index.read_bytes()
    take_away(rich, 2)
    with pytest.raises(Unavailable, match="a disk is offline") as raised:
        rebuild(rich, index_only=True)
    assert (catalog.read_bytes() == before[0], index.read_bytes() == before[1]) == (False, True)
    assert raised.value.hint.endswith(f"; the index is as it was in {rich.directory}")


@pytest.mark.parametrize("disk", [1, 2])
@pytest.mark.parametrize("loss", ["both lost", "index spoiled"])
def test_without_an_old_index_it_goes_on_and_the_disk_is_indexed_when_it_is_back(
    rich: Rich, disk: int, loss: str
) -> None:
    lose("index", "catalog")(rich) if loss == "both lost" else spoil("index", 100_000)(rich)
    take_away(rich, disk)
    report = rebuild(rich)
    assert report.offline == [str(rich.directory / f"disk-{disk}")]
    assert dump_catalog(rich.directory) == rich.catalog
    there = dump_index(rich.directory).records.items()
    lost = {number for number, held in rich.index.containers.items() if held.disk_id == disk_id(rich, disk)}
    assert lost
    assert {name for name, _ in there} & set(rich.index.whole) == {
        name for name, place in rich.index.whole.items() if place.container not in lost
    }
    bring_back(rich, disk)
    rich.open()
    rich.end()
    require_equal(rich)
    require_serves(rich)


def test_an_index_of_another_history_while_a_disk_is_away(rich: Rich) -> None:
    """That disk may have the journal which the index belongs to."""
    another_history(rich)
    lose("catalog")(rich)
    index = Index.open(rich.directory / "index", rich.index.vault)
    gone = [msgspec.structs.replace(row, indexed_length=0) for row in index.containers().values()]
    index.apply(IndexBatch(containers=gone))
    index.close()
    take_away(rich, 2)
    require_refused(rich, Damaged, "the index does not belong to the journal that is here")


def disk_id(rich: Rich, disk: int) -> bytes:
    (path,) = [
        one for one in (rich.directory / f"disk-{disk}/disk.id", rich.directory / "away/disk.id") if one.exists()
    ]
    return path.read_bytes()[24:40]


def test_a_disk_that_is_lost_for_good_and_replaced(rich: Rich) -> None:
    """It is said how many containers lay there: nobody takes the rebuild for all that was."""
    lost = disk_id(rich, 2)
    shutil.rmtree(rich.directory / "disk-2")
    (rich.directory / "disk-2").mkdir()
    (rich.directory / "disk-2/disk.new").touch()
    report = rebuild(rich)
    assert report.offline == []
    assert report.containers_lost == sum(held.disk_id == lost for held in rich.index.containers.values()) > 0
    assert dump_catalog(rich.directory) == rich.catalog
    rich.open()


@pytest.mark.parametrize("name", ["vault.id", "authority.pem", "authority.key", "signing.key"])
def test_what_is_missing_of_the_keys_is_named(rich: Rich, name: str) -> None:
    (rich.directory / name).unlink()
    error = require_refused(rich, NotFound, f"{name} is missing")
    assert "operator's copy" in error.hint


def other_run_keys(rich: Rich) -> None:
    """One bit of each key of `run_key_owners`: whoever asks for a run key does not find it."""
    path = rich.directory / "catalog" / "data.mdb"
    data = path.read_bytes()
    for key in rich.catalog["run_key_owners"]:
        named = len(key).to_bytes(2, "little") + key  # as LMDB writes it before the key of a row
        assert named in data
        data = data.replace(named, named[:-1] + bytes([named[-1] ^ 1]))
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [spoil("catalog", 100_000), cut("catalog"), other_run_keys])
def test_a_catalog_that_is_damaged_needs_the_whole(rich: Rich, harm: Change) -> None:
    harm(rich)
    error = require_refused(rich, Damaged, "catalog is damaged", index_only=True)
    assert "without --index-only" in error.hint
    rebuild(rich)
    require_equal(rich)


def kill_child(*_: object) -> None:
    """As the system does that has no memory left."""
    os.kill(os.getpid(), signal.SIGKILL)


def lack_memory(*_: object) -> None:
    raise MemoryError


def lack_processes(*_: object) -> None:
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


@pytest.mark.parametrize(
    ("place", "name", "lack"),
    [
        (Index, "open_read_only", kill_child),
        (Index, "open_read_only", lack_memory),
        (Catalog, "open_read_only", kill_child),
        (ForkProcess, "start", lack_processes),
    ],
)
def test_an_old_image_that_could_not_be_read_for_want_of_memory(
    rich: Rich, monkeypatch: pytest.MonkeyPatch, place: type, name: str, lack: Callable[..., None]
) -> None:
    """It is whole: what it would have said is not known."""
    with monkeypatch.context() as patched:
        patched.setattr(place, name, lack)
        error = require_refused(rich, Unavailable, "could not be read by another process, and nothing is wrong with it")
    assert "try again" in error.hint
    rebuild(rich)
    require_equal(rich)


def test_an_old_image_that_is_damaged_says_how_far_the_journal_went(rich: Rich) -> None:
    """No start has set it aside yet; nobody can tell where its records lie."""
    path = rich.directory / "index" / "data.mdb"
    disk = disk_id(rich, 1)
    assert path.read_bytes().count(disk) > 1
    path.write_bytes(path.read_bytes().replace(disk, bytes(16)))
    lose("catalog")(rich)
    for number in (1, 2):
        for segment in segments(rich, number)[-3:]:
            segment.unlink()
    require_refused(rich, Damaged, rf"entry {rich.index.position[1]} was acknowledged \(the index has applied it\)")


@pytest.mark.parametrize("name", ["index", "catalog"])
def test_an_old_image_that_was_never_whole_says_nothing(rich: Rich, name: str) -> None:
    """The start that was to make it was killed before or after it had its tables."""
    for tables in (0, 1):
        lose(name)(rich)
        with lmdb.open(str(rich.directory / name), max_dbs=1) as environment:
            for number in range(tables):
                environment.open_db(f"table-{number}".encode())
        rebuild(rich)
        require_equal(rich)


class FullDoor(SystemDoor):
    def space(self, path: Path) -> tuple[int, int]:
        return super().space(path)[0], 0


@pytest.mark.parametrize(
    ("door", "kind", "message"),
    [(FullDoor(), NoSpace, "no room for new images"), (SystemDoor(), Unavailable, "Input/output error")],
)
def test_images_that_cannot_be_written(
    rich: Rich, monkeypatch: pytest.MonkeyPatch, door: Door, kind: type[VaultError], message: str
) -> None:
    """LMDB says the same of a full disk and of one that fails."""

    def broken(index: Index, _batch: object) -> None:
        raise StoreBroken(f"{index.path}: the index transaction failed: mdb_txn_commit: Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(Index, "apply", broken)
        require_refused(rich, kind, message, door)
    require_serves(rich)


def test_an_image_that_is_a_mount_point(rich: Rich, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not be renamed after all the reading."""
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "index")
    require_refused(rich, Conflict, "index is a mount point")


def test_one_that_is_interrupted_leaves_nothing(rich: Rich) -> None:
    """Ctrl-C while containers are read."""

    def interrupt(reading: Reading) -> None:
        if reading.containers == 2:
            raise KeyboardInterrupt

    before = images(rich)
    with pytest.raises(KeyboardInterrupt):
        rebuild_vault(rich.site.config, rich.site.clock, DOOR, interrupt, index_only=False)
    assert images(rich) == before
    require_serves(rich)
