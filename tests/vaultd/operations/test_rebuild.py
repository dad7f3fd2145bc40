"""Index and catalog are made anew from what lies on the disks, equal to what they were; what was removed stays so."""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.independent.reader.journal import read_journal
from tests.vaultd.operations.image_dump import Catalog, IndexDump, dump_catalog, dump_index
from tests.vaultd.operations.rich_site import Rich
from vaultd.operations import dead_keys
from vaultd.operations.check import check_vault
from vaultd.operations.rebuild import RebuildReport, rebuild_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.findings import Severity
from vaultd.store.index.index import Index
from vaultd.store.index.reading_progress import Reading, tell_nobody
from vaultd.store.index_rows import IndexBatch
from vaultd.store.position import Position

IMAGES = ("index", "catalog")
Change = Callable[[Rich], None]


def rebuild(rich: Rich, *, index_only: bool = False) -> RebuildReport:
    return rebuild_vault(rich.site.config, rich.site.clock, SystemDoor(), tell_nobody, index_only=index_only)


def lose(*names: str) -> Change:
    def change(rich: Rich) -> None:
        for name in names:
            shutil.rmtree(rich.directory / name)

    return change


def bring_back_older(*names: str) -> Change:
    def change(rich: Rich) -> None:
        lose(*names)(rich)
        for name in names:
            shutil.copytree(rich.older / name, rich.directory / name)

    return change


def spoil(name: str, size: int) -> Change:
    """The file of the image has so many bytes, of which no page holds."""

    def change(rich: Rich) -> None:
        path = rich.directory / name / "data.mdb"
        path.write_bytes((b"spoiled!" * (size // 8 + 1))[:size])

    return change


def cut(name: str) -> Change:
    """Its pages are gone but for the first ones: whoever reads it by its map is killed."""

    def change(rich: Rich) -> None:
        path = rich.directory / name / "data.mdb"
        path.write_bytes(path.read_bytes()[: 3 * 4096])

    return change


def require_equal(rich: Rich) -> None:
    """But for what is damaged or was given up: it counts as missing from its next reading on."""
    index, catalog = dump_index(rich.directory), dump_catalog(rich.directory)
    assert catalog == rich.catalog
    in_doubt = {(rich.keyring_of[id_], id_) for id_ in (rich.damaged, *rich.given_up)}
    wanted = {name: place for name, place in rich.index.records.items() if name not in in_doubt}
    assert len(wanted) == len(rich.contents)
    assert {name: place for name, place in index.records.items() if name not in in_doubt} == wanted
    lengths = {number: (held.disk_id, held.acknowledged, held.is_sealed) for number, held in index.containers.items()}
    assert lengths == {
        n: (held.disk_id, held.acknowledged, held.is_sealed) for n, held in rich.index.containers.items()
    }
    assert (index.position, index.vault) == (rich.index.position, rich.index.vault)


def lengths(index: IndexDump) -> dict[int, object]:
    """Without how far they are indexed: one with damage is looked at again by each start."""
    return {number: (row.disk_id, row.acknowledged, row.is_sealed) for number, row in index.containers.items()}


def require_removed(rich: Rich) -> None:
    catalog = dump_catalog(rich.directory)
    assert [name for name, key in rich.removed.items() if key in catalog[name.split()[0]]] == []
    assert len(rich.removed) == 4


def test_the_vault_of_these_tests_has_some_of_everything(template: Rich) -> None:
    rows = {table: len(held) for table, held in template.catalog.items()}
    assert rows["accounts"] > 3
    assert (rows["jobs"], rows["safesets"], rows["slots"]) == (4, 9, 12)
    held = template.index.containers.values()
    assert {one.is_sealed for one in held} == {True, False}
    assert len({one.disk_id for one in held}) == 2
    for disk in template.site.config.disks:
        assert len(list(disk.glob("journal/*.journal"))) > 8
        assert 1 < len(list(disk.glob("checkpoints/*.checkpoint"))) < 3
    assert [
        template.index.records[template.keyring_of[id_], id_].flags for id_ in (template.damaged, *template.given_up)
    ] == [1, 2]
    older = dump_index(template.older.parent / "older").position[1], dump_catalog(template.older)["meta"]
    assert older[0] < template.index.position[1]


def catalog_number(catalog: Catalog) -> int:
    number: int = struct.unpack_from("<Q", catalog["meta"][b"position"], 4)[0]
    return number


def another_history(rich: Rich) -> None:
    """The index has applied another entry than the one that the journal has in its place."""
    timeline, number, _ = rich.index.position
    index = Index.open(rich.directory / "index", rich.index.vault)
    index.apply(IndexBatch(position=Position(timeline, number - 5, b"x" * 32)))
    index.close()


LOSSES = {
    "nothing": lose(),
    "both lost": lose(*IMAGES),
    "index lost": lose("index"),
    "catalog lost": lose("catalog"),
    "index older than the containers": bring_back_older("index"),
    "catalog older than the journal": bring_back_older("catalog"),
    "both older": bring_back_older(*IMAGES),
    "index spoiled": spoil("index", 100_000),
    "catalog spoiled": spoil("catalog", 100_000),
    "index empty": spoil("index", 0),
    "index cut": cut("index"),
    "catalog cut": cut("catalog"),
    "index of another history": another_history,
}
STARTS = {name: change for name, change in LOSSES.items() if not name.endswith(("spoiled", "cut", "empty", "history"))}


def require_serves(rich: Rich) -> None:
    rich.open()
    rich.require_all_reads()
    rich.back_up()
    rich.require_all_reads()


@pytest.mark.parametrize("loss", LOSSES)
def test_everything_comes_back(rich: Rich, loss: str) -> None:
    LOSSES[loss](rich)
    report = rebuild(rich)
    require_equal(rich)
    require_removed(rich)
    assert {path.name for path in rich.directory.iterdir()} & {"index.rebuilding", "index.before-rebuild"} == set()
    damage = [one for one in report.findings if one.severity is Severity.damage]
    assert len(damage) == 2, "of the two records that were hit"
    assert (report.counts.safesets, report.counts.jobs, report.counts.slots) == (9, 4, 12)
    require_serves(rich)


@pytest.mark.parametrize("loss", STARTS)
def test_a_start_notices_and_catches_up_too(rich: Rich, loss: str) -> None:
    STARTS[loss](rich)
    rich.open()
    rich.end()
    require_equal(rich)
    require_removed(rich)
    require_serves(rich)


@pytest.mark.parametrize(
    "loss", ["index lost", "index cut", "nothing", "catalog lost", "catalog older than the journal"]
)
def test_the_index_alone(rich: Rich, loss: str) -> None:
    LOSSES[loss](rich)
    rebuild(rich, index_only=True)
    require_equal(rich)
    require_serves(rich)


def test_without_any_checkpoint(rich: Rich) -> None:
    for path in rich.directory.glob("disk-*/checkpoints/*"):
        path.unlink()
    lose(*IMAGES)(rich)
    rebuild(rich)
    require_equal(rich)
    require_removed(rich)


def test_a_run_key_that_was_given_up_is_given_up_again_by_the_next_run(rich: Rich) -> None:
    """That is not in the journal: each start judges the keys anew, by the same rule."""
    lose(*IMAGES)(rich)
    rebuild(rich)
    vault, job = rich.open(), rich.jobs[2]
    (dead,) = dead_keys.judge_keys(vault, job.agent.identity, job.job.job_id).dead
    assert dead == rich.dead_key
    dead_keys.give_up_keys(vault, job.agent.identity, job.job.job_id, [dead])
    assert rich.missing(*rich.given_up) == [True]
    rich.require_all_reads()


def test_what_is_damaged_is_sent_again_after_it(rich: Rich) -> None:
    rebuild(rich)
    rich.open()
    assert rich.missing(rich.damaged) == [True]
    assert rich.missing(rich.sent_again) == [False]


def test_how_far_it_is(rich: Rich) -> None:
    told: list[Reading] = []
    report = rebuild_vault(rich.site.config, rich.site.clock, SystemDoor(), told.append, index_only=True)
    files = list(rich.directory.glob("disk-*/containers/*/*.container"))
    size = sum(path.stat().st_size for path in files)
    assert [one.containers for one in told] == list(range(len(files) + 1))
    assert {(one.containers_total, one.bytes_total) for one in told} == {(len(files), size)}
    assert told[-1].bytes == size == report.counts.container_bytes
    assert [one.records for one in told] == sorted(one.records for one in told)
    assert told[-1].records >= report.counts.records_in_index == len(dump_index(rich.directory).records)


def test_check_and_rebuild_mean_the_same_by_the_same_name(rich: Rich) -> None:
    made = rebuild(rich).counts
    checked = check_vault(rich.site.config, SystemDoor(), read_data=False).counts
    assert checked.records_in_index == made.records_in_index == len(dump_index(rich.directory).records)
    sent_twice = 2  # one was damaged, and one lay under the key that was given up
    damaged = [rich.damaged, *rich.given_up]
    assert checked.records_in_containers == len(rich.contents) + len(damaged) + sent_twice
    shared = set(msgspec.to_builtins(checked)) & set(msgspec.to_builtins(made))
    assert shared == {"containers", "records_in_index"}
    assert checked.containers == made.containers


def test_the_first_entry_that_names_a_container_is_known_exactly(rich: Rich) -> None:
    """A daemon that runs notes an earlier one, the first of its commit."""
    lose(*IMAGES)(rich)
    rebuild(rich)
    first: dict[int, int] = {}
    for entry in read_journal(rich.directory.glob("disk-*/journal")):
        for number, *_ in entry.details.get("containers", []):
            first.setdefault(number, entry.number)
        if "length" in entry.details:
            first.setdefault(entry.details["number"], entry.number)
    assert dump_index(rich.directory).first_entries == first
    assert all(noted <= first[number] for number, noted in rich.index.first_entries.items())


def test_an_image_that_is_a_link_stays_where_it_leads(rich: Rich, tmp_path: Path) -> None:
    """As to a faster disk."""
    index, elsewhere = rich.directory / "index", tmp_path / "fast" / "of-this-vault"
    elsewhere.parent.mkdir()
    index.rename(elsewhere)
    index.symlink_to(elsewhere)
    before = (elsewhere / "data.mdb").stat().st_ino
    rebuild(rich)
    assert index.readlink() == elsewhere
    assert (elsewhere / "data.mdb").stat().st_ino != before
    assert list(elsewhere.parent.iterdir()) == [elsewhere]
    require_equal(rich)
