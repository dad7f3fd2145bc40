"""Damage in the journal: a start changes nothing before it accepted the whole chain, and never destroys an entry."""

import shutil
import struct

import pytest
from blake3 import blake3

from tests.vaultd.store.fakes import VAULT, Crash, WrappedDoor, flip, now_ns
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import StoreError
from vaultd.store.findings import Severity
from vaultd.store.journal.format import EntryKind, JournalEntry, encode_payload
from vaultd.store.journal.journal import Journal, JournalSettings
from vaultd.store.journal.recovery import Applied
from vaultd.store.position import Position

START = Position(1, 0, bytes(32))
SIZE = 700  # of an entry: a segment of 4096 bytes has five


def settings(root, copies=(0,)):
    directories = [root / f"j{copy}" for copy in copies]
    for directory in directories:
        directory.mkdir(exist_ok=True)
    return JournalSettings(directories, VAULT, 4096, now_ns)


def write(journal, count):
    """Positions after each entry, each written and synced alone."""
    positions = []
    for _ in range(count):
        number = journal.position.number + 1
        change = ("t", number.to_bytes(4, "big"), b"x" * (SIZE - 130))
        journal.append(EntryKind.catalog, encode_payload(JournalEntry(EntryKind.catalog, {}, [change])))
        positions.append(journal.sync())
    journal.close()
    return positions


def reopen(how, index=None, catalog=START, door=None, checkpoint=START):
    return Journal.open(door or SystemDoor(), how, Applied(index, catalog, checkpoint=checkpoint))


def numbers(journal, first=1):
    return [int.from_bytes(raw.decode().changes[0][1], "big") for raw in journal.read_from(first)]


def contents(how):
    return {path: path.read_bytes() for directory in how.directories for path in directory.iterdir()}


@pytest.mark.parametrize("segment", [0, 2])
def test_a_start_that_is_refused_has_changed_nothing(tmp_path, segment):
    """The index is lost, and an acknowledged entry in the middle has a wrong bit: later repair needs every byte."""
    how = settings(tmp_path)
    write(Journal.create(SystemDoor(), how), 23)
    flip(sorted(how.directories[0].iterdir())[segment], 96 + SIZE + 200)
    before = contents(how)
    with pytest.raises(StoreError, match="damaged in every copy before"):
        reopen(how)
    assert contents(how) == before


@pytest.mark.parametrize("copies", [(0,), (0, 1)])
def test_entries_behind_a_damaged_one_are_kept_when_index_and_catalog_do_not_know_them(tmp_path, copies):
    """They come from an older copy of their disk."""
    how = settings(tmp_path, copies)
    positions = write(Journal.create(SystemDoor(), how), 4)
    whole = contents(how)
    for path in whole:
        flip(path, 96 + 2 * SIZE + 200)
    damaged = contents(how)
    journal = reopen(how, positions[0], positions[0])
    assert (journal.position, numbers(journal)) == (positions[1], [1, 2])
    assert Severity.damage in {finding.severity for finding in journal.findings}
    journal.close()
    for path, data in damaged.items():
        (kept,) = path.parent.glob("*.unacknowledged")
        assert path.read_bytes() + kept.read_bytes() == data


@pytest.mark.parametrize("copies", [(0,), (0, 1)])
def test_entries_of_the_newest_segment_are_kept_where_its_header_is_damaged(tmp_path, copies):
    """Index and catalog come from an older copy of their disk: nothing else knows these entries."""
    how = settings(tmp_path, copies)
    positions = write(Journal.create(SystemDoor(), how), 9)
    newest = [max(directory.iterdir()) for directory in how.directories]
    for path in newest:
        flip(path, 10)
    damaged = [path.read_bytes() for path in newest]
    journal = reopen(how, positions[4], positions[4])
    told = [finding.place for finding in journal.findings if finding.severity is Severity.damage]
    assert (journal.position, numbers(journal), told) == (positions[4], [1, 2, 3, 4, 5], list(map(str, newest)))
    assert numbers(reopen(how, write(journal, 4)[-1])) == list(range(1, 10))
    assert [kept.read_bytes() for path in newest for kept in path.parent.glob("*.unacknowledged")] == damaged


def test_a_torn_last_entry_leaves_nothing_beside(tmp_path):
    how = settings(tmp_path)
    positions = write(Journal.create(SystemDoor(), how), 3)
    (path,) = how.directories[0].iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert reopen(how, positions[0]).position == positions[1]
    assert list(how.directories[0].iterdir()) == [path]


def test_a_journal_without_its_beginning_is_not_read_from_there(tmp_path):
    how = settings(tmp_path)
    positions = write(Journal.create(SystemDoor(), how), 23)
    first, *_ = sorted(how.directories[0].iterdir())
    first.unlink()
    journal = reopen(how, positions[-1], positions[-1])
    with pytest.raises(StoreError, match="begins with entry 6, and entry 1 is wanted"):
        numbers(journal)
    assert numbers(journal, 6) == list(range(6, 24))


@pytest.mark.parametrize("at", [10, 96 + 200], ids=["header", "entry"])
def test_segments_before_a_damaged_one_come_onto_a_new_disk(tmp_path, at):
    how = settings(tmp_path, (0, 1))
    positions = write(Journal.create(SystemDoor(), how), 43)
    old, new = how.directories
    names = sorted(path.name for path in old.iterdir())
    flip(old / names[4], at)
    shutil.rmtree(new)
    journal = reopen(how, positions[-1], positions[-1])
    journal.close()
    assert {name: (new / name).read_bytes() for name in names} == {name: (old / name).read_bytes() for name in names}
    assert [finding.place for finding in journal.findings if finding.severity is Severity.damage] == [
        str(old / names[4])
    ]


def test_a_wrong_bit_in_an_older_segment_is_mended_from_the_other_copy(tmp_path):
    how = settings(tmp_path, (0, 1))
    positions = write(Journal.create(SystemDoor(), how), 23)
    before = contents(how)
    flip(sorted(how.directories[1].iterdir())[1], 96 + SIZE + 200)
    reopen(how, positions[-1], positions[-1]).close()
    assert contents(how) == before


class CrashInNewSegment(WrappedDoor):
    """The process ends when the first disk has the name of a new segment, whose header may be missing."""

    def __init__(self, *, has_header):
        self.has_header = has_header
        self.is_begun = False

    def around(self, name, call, arguments, named):
        self.is_begun = self.is_begun or name == "open_new"
        if name == "pwrite" and self.is_begun and not self.has_header:
            raise Crash
        answer = call(*arguments, **named)
        if name == "fsync_directory" and self.is_begun:
            raise Crash
        return answer


@pytest.mark.parametrize("has_header", [True, False])
@pytest.mark.parametrize("more", [1, 7])
def test_a_segment_that_a_crash_began_on_a_disk_that_is_away_since_is_no_history(tmp_path, has_header, more):
    """The other copy had room for a small entry, so its chain goes past the number of that segment."""
    how = settings(tmp_path, (0, 1))
    positions = write(Journal.create(SystemDoor(), how), 4)
    journal = reopen(how, positions[-1], positions[-1], CrashInNewSegment(has_header=has_header))
    large = JournalEntry(EntryKind.catalog, {}, [("t", b"\0\0\0\5", b"x" * 2000)])
    journal.append(EntryKind.catalog, encode_payload(large))
    with pytest.raises(Crash):
        journal.sync()
    journal.close()
    alone = settings(tmp_path, (1,))
    positions += write(reopen(alone, positions[-1], positions[-1]), more)
    for _ in range(2):
        journal = reopen(how, positions[-1], positions[-1])
        assert numbers(journal) == list(range(1, 5 + more))
        journal.close()
    assert not [path for path in contents(how) if "forked" in path.name]
    assert {p.name for p in how.directories[0].iterdir()} == {p.name for p in how.directories[1].iterdir()}


@pytest.mark.parametrize("is_rebuilt", [False, True])
@pytest.mark.parametrize("copies", [(0,), (0, 1)])
def test_old_bytes_in_a_segment_that_was_just_begun_are_no_segment(tmp_path, copies, is_rebuilt):
    """A power cut may leave in a new file what its blocks held before: a whole older segment, for example."""
    how = settings(tmp_path, copies)
    positions = write(Journal.create(SystemDoor(), how), 15)
    segments = sorted(path.name for path in how.directories[0].iterdir())
    for directory in how.directories:
        shutil.copy(directory / segments[1], directory / "0000000000000010.journal")
    journal = reopen(how, None if is_rebuilt else positions[-1])
    assert numbers(journal) == list(range(1, 16))
    assert journal.position == positions[-1]
    assert sorted(path.name for path in how.directories[0].iterdir()) == segments
    write(journal, 5)
    assert numbers(reopen(how, positions[-1])) == list(range(1, 21))


def test_old_bytes_in_one_copy_of_the_newest_segment_leave_the_other_one(tmp_path):
    how = settings(tmp_path, copies=(0, 1))
    positions = write(Journal.create(SystemDoor(), how), 17)
    older, newest = (sorted(path.name for path in how.directories[0].iterdir())[at] for at in (1, -1))
    shutil.copy(how.directories[0] / older, how.directories[0] / newest)
    journal = reopen(how, positions[-1])
    assert numbers(journal) == list(range(1, 18))
    assert (how.directories[0] / newest).read_bytes() == (how.directories[1] / newest).read_bytes()
    journal.close()


@pytest.mark.parametrize("is_rebuilt", [False, True])
def test_a_segment_under_another_name_is_not_removed(tmp_path, is_rebuilt):
    """It holds entries that were applied, and nothing else does."""
    how = settings(tmp_path)
    positions = write(Journal.create(SystemDoor(), how), 15)
    _, second, third = sorted(path for path in how.directories[0].iterdir())
    second.rename(second.with_name("0000000000000010.journal"))
    third.unlink()
    before = contents(how)
    with pytest.raises(StoreError, match="0000000000000010.journal is damaged: no copy has a good header"):
        reopen(how, None if is_rebuilt else positions[9])
    assert contents(how) == before


@pytest.mark.parametrize("is_rebuilt", [False, True])
@pytest.mark.parametrize("copies", [(0,), (0, 1)])
def test_old_entries_behind_the_end_are_cut_like_any_torn_tail(tmp_path, copies, is_rebuilt):
    """A power cut may leave at the end of a file what its blocks held before: entries of an older segment."""
    how = settings(tmp_path, copies)
    positions = write(Journal.create(SystemDoor(), how), 17)
    for directory in how.directories:
        oldest, *_, newest = sorted(directory.iterdir())
        with newest.open("ab") as file:
            file.write(b"torn" + oldest.read_bytes()[96:])
    journal = reopen(how, None if is_rebuilt else positions[-1])
    assert numbers(journal) == list(range(1, 18))
    assert {finding.severity for finding in journal.findings} == {Severity.warning}
    kept = [path for path in how.directories[0].iterdir() if path.suffix != ".journal"]
    assert len(kept) == is_rebuilt  # without an index nothing says that it was not acknowledged
    journal.close()


@pytest.fixture(params=[(0,), (0, 1)], ids=["one-copy", "two-copies"])
def begun(tmp_path, request):
    """Entry 6 alone is in the newest segment; it and the header before it have a wrong bit in every copy."""
    how = settings(tmp_path, request.param)
    positions = write(Journal.create(SystemDoor(), how), 6)
    for directory in how.directories:
        flip(max(directory.iterdir()), 10)
        flip(max(directory.iterdir()), 96 + 200)
    return how, positions


@pytest.mark.parametrize("who", ["catalog", "checkpoint"])
def test_where_an_entry_is_known_to_be_missing_its_segment_stays(begun, who):
    how, positions = begun
    before = contents(how)
    with pytest.raises(StoreError, match="no copy has a good header" if who == "catalog" else "applied entry 6"):
        reopen(how, **{who: positions[5]})
    assert contents(how) == before


def test_where_nothing_says_that_it_was_not_acknowledged_its_segment_is_kept(begun):
    how, positions = begun
    before = contents(how)
    journal = reopen(how)
    journal.close()
    assert (journal.position, {finding.severity for finding in journal.findings}) == (positions[4], {Severity.damage})
    for path, data in before.items():
        assert data in [held.read_bytes() for held in path.parent.iterdir()]
    assert sum(path.suffix == ".unacknowledged" for path in contents(how)) == len(how.directories)


def test_where_the_index_says_that_it_was_not_it_is_removed(begun):
    how, positions = begun
    journal = reopen(how, positions[4])
    journal.close()
    assert (journal.findings, len(contents(how))) == ([], len(how.directories))


@pytest.mark.parametrize("is_kept_already", [False, True])
def test_a_checkpoint_that_may_be_of_a_history_that_is_kept_refuses_nothing(tmp_path, is_kept_already):
    """Each copy went on without the other; the end of the longer history is damaged, and only its checkpoint knows."""
    how = settings(tmp_path, (0, 1))
    write(Journal.create(SystemDoor(), how), 2)
    alone = [JournalSettings([directory], VAULT, 4096, lambda n=n: n) for n, directory in enumerate(how.directories)]
    (ahead, *_), _ = write(reopen(alone[0]), 2)[::-1], write(reopen(alone[1]), 1)
    (damaged,) = how.directories[0].iterdir()
    flip(damaged, 96 + 3 * SIZE + 200)
    journal = reopen(how, checkpoint=START if is_kept_already else ahead)
    journal.close()
    assert any(".forked." in path.name for path in contents(how))
    journal = reopen(how, checkpoint=ahead)
    assert journal.position.number == 3
    journal.close()


@pytest.mark.parametrize(
    ("tail", "severity"),
    [
        (b"SSJ1" + (200).to_bytes(4, "little") + bytes(192), Severity.damage),
        (b"SSJ1" + (200).to_bytes(4, "little") + bytes(191), Severity.warning),
        (b"SSJ1" + bytes(50), Severity.warning),
        (b"SSJ", Severity.warning),
        (bytes(4096), Severity.warning),
    ],
    ids=["as-long-as-it-says", "shorter", "no-length", "no-magic", "zeros"],
)
def test_a_tail_is_kept_where_nothing_vouches_and_is_damage_where_it_is_as_long_as_it_says(tmp_path, tail, severity):
    how = settings(tmp_path)
    positions = write(Journal.create(SystemDoor(), how), 3)
    (path,) = how.directories[0].iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    journal = reopen(how)
    journal.close()
    assert (journal.position, {finding.severity for finding in journal.findings}) == (positions[-1], {severity})
    (kept,) = how.directories[0].glob("*.unacknowledged")
    assert (path.read_bytes(), kept.read_bytes()) == (whole, tail)


def forged(number):
    """Bytes that a customer may store, as docs/format.md draws an entry."""
    head = struct.pack("<4sIH2sIQq32s", b"SSJ1", 96, 3, bytes(2), 1, number, 0, bytes(32))
    return head + blake3(head).digest()


def write_with_forged(how):
    """The end of five entries, of which the first one holds what looks like another first one."""
    journal = Journal.create(SystemDoor(), how)
    value = forged(1).ljust(SIZE - 130, b"x")
    journal.append(EntryKind.catalog, encode_payload(JournalEntry(EntryKind.catalog, {}, [("t", b"forg", value)])))
    journal.sync()
    return write(journal, 4)[-1]


def test_what_an_entry_holds_is_no_entry_of_another_history(tmp_path):
    how = settings(tmp_path)
    end = write_with_forged(how)
    (path,) = how.directories[0].iterdir()
    with path.open("ab") as segment:
        segment.write(b"SSJ1" + bytes(50))  # as a kill in the middle of a write leaves it
    journal = reopen(how, end)
    assert [finding.severity for finding in journal.findings] == [Severity.warning]
    assert journal.position.number == 5
    assert [one.name for one in how.directories[0].iterdir()] == [path.name]


def test_what_an_entry_holds_hides_no_damage(tmp_path):
    how = settings(tmp_path, (0, 1))
    write_with_forged(how)
    before = {}
    for directory in how.directories:
        (path,) = directory.iterdir()
        flip(path, 96 + 3 * SIZE + 200)
        before[path] = path.read_bytes()
    with pytest.raises(StoreError, match="with good entries behind"):
        reopen(how)
    assert contents(how) == before
