import errno
import struct

import msgpack
import pytest
from blake3 import blake3

from tests.vaultd.store.fakes import NOW_NS, VAULT, RecordingDoor, flip, now_ns, short_hash
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import FormatError, NewerFormat, StoreError
from vaultd.store.journal.format import EntryKind, JournalEntry, encode_payload
from vaultd.store.journal.journal import Journal, JournalSettings
from vaultd.store.journal.recovery import Applied
from vaultd.store.position import Position

START = Position(1, 0, bytes(32))


def settings(tmp_path, copies=2, segment_bytes=1 << 20):
    directories = [tmp_path / f"j{number}" for number in range(copies)]
    for directory in directories:
        directory.mkdir(exist_ok=True)
    return JournalSettings(directories, VAULT, segment_bytes, now_ns)


def entry(text):
    return JournalEntry(EntryKind.catalog, {}, [("accounts", text.encode(), b"v"), ("jobs", b"j", None)])


def write(journal, *texts):
    for text in texts:
        journal.append(EntryKind.catalog, encode_payload(entry(text)))
    return journal.sync()


def texts(journal, number=1):
    return [raw.decode().changes[0][1].decode() for raw in journal.read_from(number)]


def reopen(how, applied=START):
    return Journal.open(SystemDoor(), how, Applied(applied))


def first_segment(how, copy=0):
    return how.directories[copy] / "0000000000000001.journal"


def expected_segment(first, previous, entries):
    head = struct.pack(
        "<4sB3s16sI4sQ32sq8s", b"SSG1", 1, bytes(3), VAULT, 1, bytes(4), first, previous, NOW_NS, bytes(8)
    )
    data = head + short_hash(head)
    for kind, payload in entries:
        body = struct.pack("<4sIHHIQq32s", b"SSJ1", 96 + len(payload), kind, 0, 1, first, NOW_NS, previous) + payload
        previous = blake3(body).digest()
        data += body + previous
        first += 1
    return data


def test_a_segment_byte_by_byte_on_both_disks(tmp_path):
    how = settings(tmp_path)
    journal = Journal.create(SystemDoor(), how)
    group = JournalEntry(EntryKind.group, {"containers": [[1, b"D" * 16, 8192]]})
    journal.append(group.kind, encode_payload(group))
    position = write(journal, "a")
    payloads = [
        (1, msgpack.packb({"changes": [], "details": {"containers": [[1, b"D" * 16, 8192]]}})),
        (3, msgpack.packb({"changes": [["accounts", b"a", b"v"], ["jobs", b"j", None]], "details": {}})),
    ]
    expected = expected_segment(1, bytes(32), payloads)
    assert [first_segment(how, copy).read_bytes() for copy in (0, 1)] == [expected, expected]
    assert position == (1, 2, expected[-32:])


def test_a_segment_ends_and_the_next_goes_on_the_chain(tmp_path):
    how = settings(tmp_path, segment_bytes=4096)
    journal = Journal.create(SystemDoor(), how)
    names = [f"{number:04d}" + "x" * 900 for number in range(20)]
    for name in names:
        write(journal, name)
    assert len(list(how.directories[0].iterdir())) > 3
    assert texts(journal) == names
    assert texts(reopen(how)) == names
    assert texts(reopen(how), 15) == names[14:]


def test_many_entries_of_one_sync_fill_several_segments(tmp_path):
    how = settings(tmp_path, segment_bytes=4096)
    journal = Journal.create(SystemDoor(), how)
    names = [f"{number:04d}" + "x" * 1500 for number in range(9)] + ["y" * 10_000]
    position = write(journal, *names)
    assert position.number == 10
    assert texts(reopen(how, position)) == names


def test_a_torn_last_entry_is_cut_at_every_byte(tmp_path):
    how = settings(tmp_path)
    journal = Journal.create(SystemDoor(), how)
    acknowledged = write(journal, "one")
    kept = first_segment(how).read_bytes()
    write(journal, "two")
    whole = first_segment(how).read_bytes()
    for end in range(len(kept), len(whole)):
        for copy in (0, 1):
            first_segment(how, copy).write_bytes(whole[:end])
        journal = reopen(how, acknowledged)
        assert journal.position == acknowledged
        assert first_segment(how, 1).read_bytes() == kept
        journal.close()
    assert texts(reopen(how, acknowledged)) == ["one"]


def test_garbage_and_zeros_behind_the_last_entry_are_cut(tmp_path):
    how = settings(tmp_path)
    acknowledged = write(Journal.create(SystemDoor(), how), "one")
    kept = first_segment(how).read_bytes()
    for tail in (bytes(5000), b"SSJ1" + b"\xff" * 300, kept[96:]):
        first_segment(how).write_bytes(kept + tail)
        assert texts(reopen(how, acknowledged)) == ["one"]
        assert first_segment(how).read_bytes() == kept


def test_the_longer_copy_wins_and_the_other_is_brought_up(tmp_path):
    how = settings(tmp_path)
    journal = Journal.create(SystemDoor(), how)
    acknowledged = write(journal, "one")
    short = first_segment(how).read_bytes()
    write(journal, "two")
    whole = first_segment(how).read_bytes()
    for end in range(len(short), len(whole)):
        first_segment(how, 1).write_bytes(whole)
        first_segment(how, 0).write_bytes(whole[:end])
        assert texts(reopen(how, acknowledged)) == ["one", "two"]
        assert first_segment(how, 0).read_bytes() == whole


def test_a_deleted_copy_is_made_anew(tmp_path):
    how = settings(tmp_path, segment_bytes=4096)
    journal = Journal.create(SystemDoor(), how)
    names = [f"{number}" + "x" * 1500 for number in range(9)]
    position = write(journal, *names)
    expected = {path.name: path.read_bytes() for path in how.directories[0].iterdir()}
    for path in how.directories[0].iterdir():
        path.unlink()
    journal = reopen(how, position)
    assert {path.name: path.read_bytes() for path in how.directories[0].iterdir()} == expected
    assert journal.findings
    assert texts(journal) == names


def test_a_copy_that_cannot_be_synced_at_opening_is_made_anew(tmp_path):
    """After a failed sync the cache may hold bytes that the disk never got: they are written once more, elsewhere."""

    class NoSync(SystemDoor):
        def fdatasync(self, handle):
            if handle.path == first_segment(how):
                raise OSError(errno.EIO, "told to fail")
            super().fdatasync(handle)

    how = settings(tmp_path)
    position = write(Journal.create(SystemDoor(), how), "one")
    before = first_segment(how).stat().st_ino
    journal = Journal.open(NoSync(), how, Applied(position))
    assert texts(journal) == ["one"]
    assert [(finding.place, "could not be synced" in finding.sentence) for finding in journal.findings] == [
        (str(first_segment(how)), True)
    ]
    assert first_segment(how).stat().st_ino != before


def test_different_damage_in_both_copies_is_mended_from_each_other(tmp_path):
    how = settings(tmp_path)
    journal = Journal.create(SystemDoor(), how)
    position = write(journal, "one", "two", "three")
    whole = first_segment(how).read_bytes()
    flip(first_segment(how, 0), 96 + 70)
    flip(first_segment(how, 1), len(whole) - 40)
    assert texts(reopen(how, position)) == ["one", "two", "three"]
    assert [first_segment(how, copy).read_bytes() for copy in (0, 1)] == [whole, whole]


def test_damage_to_what_was_applied_is_refused_and_not_cut(tmp_path):
    how = settings(tmp_path)
    position = write(Journal.create(SystemDoor(), how), "one", "two")
    for copy in (0, 1):
        flip(first_segment(how, copy), first_segment(how).stat().st_size - 40)
    before = first_segment(how).read_bytes()
    with pytest.raises(StoreError, match="entry 2 was acknowledged"):
        reopen(how, position)
    assert first_segment(how).read_bytes() == before


def test_a_rebuild_refuses_damage_with_good_entries_behind(tmp_path):
    how = settings(tmp_path)
    write(Journal.create(SystemDoor(), how), "one", "two", "three")
    for copy in (0, 1):
        flip(first_segment(how, copy), 96 + 70)
    with pytest.raises(StoreError, match="good entries behind"):
        reopen(how, None)


def test_a_missing_middle_segment_is_refused(tmp_path):
    how = settings(tmp_path, segment_bytes=4096)
    write(Journal.create(SystemDoor(), how), *["x" * 3000] * 4)
    middle = sorted(path.name for path in how.directories[0].iterdir())[1]
    for directory in how.directories:
        (directory / middle).unlink()
    with pytest.raises(StoreError, match="damaged in every copy before"):
        reopen(how)


def test_a_segment_without_a_header_was_never_born(tmp_path):
    how = settings(tmp_path)
    position = write(Journal.create(SystemDoor(), how), "one")
    (how.directories[0] / "0000000000000002.journal").write_bytes(b"SSG1\1")
    journal = reopen(how, position)
    assert write(journal, "two").number == 2
    assert texts(reopen(how, position)) == ["one", "two"]


def test_another_history_is_refused(tmp_path):
    how = settings(tmp_path)
    position = write(Journal.create(SystemDoor(), how), "one")
    with pytest.raises(StoreError, match="different histories"):
        reopen(how, Position(1, position.number, bytes(32)))
    with pytest.raises(StoreError, match="entry 2 was acknowledged"):
        reopen(how, Position(1, 2, bytes(32)))


def test_an_empty_directory_is_refused(tmp_path):
    with pytest.raises(StoreError, match="is missing"):
        reopen(settings(tmp_path))


LATER = {
    "kind 13": (8, b"\x0d\0"),
    "reserved 0100": (10, b"\1\0"),
    "magic 53534a32": (0, b"SSJ2"),
}


@pytest.mark.parametrize("index", [START, None])
@pytest.mark.parametrize("copies", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("word", LATER)
def test_a_whole_entry_of_a_later_version_stops_and_nothing_is_changed(tmp_path, word, copies, index):
    """In one copy, where the other has an entry of this version in its place, or in both; with and without an index."""
    how = settings(tmp_path)
    payload = msgpack.packb({"changes": [], "details": {}})
    data = expected_segment(1, bytes(32), [(3, payload)] * 2)
    at, changed = LATER[word]
    second = data[96 + 96 + len(payload) :]
    entry = second[:at] + changed + second[at + len(changed) : -32]
    for copy in (0, 1):
        first_segment(how, copy).write_bytes(data)
    for copy in copies:
        first_segment(how, copy).write_bytes(data[: -len(second)] + entry + blake3(entry).digest())
    before = [first_segment(how, copy).read_bytes() for copy in (0, 1)]
    with pytest.raises(NewerFormat, match=f"1.journal: entry 2 with {word} was written by a later version"):
        reopen(how, index)
    assert [first_segment(how, copy).read_bytes() for copy in (0, 1)] == before
    assert [len(list(directory.iterdir())) for directory in how.directories] == [1, 1]


@pytest.mark.parametrize("is_applied", [True, False])
@pytest.mark.parametrize("copies", [1, 2])
def test_an_entry_of_a_later_version_is_never_cut(tmp_path, copies, is_applied):
    """Its hash holds and a reserved byte is used, as the last entry and before another one."""
    how = settings(tmp_path, copies)
    payload = msgpack.packb({"changes": [], "details": {}})
    data = bytearray(expected_segment(1, bytes(32), [(3, payload), (3, payload)]))
    start = len(data) - 96 - len(payload)
    data[start + 10] = 1
    data[-32:] = blake3(data[start:-32]).digest()
    for copy in range(copies):
        first_segment(how, copy).write_bytes(data)
    with pytest.raises(NewerFormat, match="entry 2 with reserved 0100 was written by a later version"):
        reopen(how, Position(1, 1, bytes(data[start - 32 : start])) if is_applied else START)
    for copy in range(copies):
        assert first_segment(how, copy).read_bytes() == data


@pytest.mark.parametrize("at", [4, 5, 28])
def test_a_segment_of_a_later_version_is_never_cut(tmp_path, at):
    how = settings(tmp_path, 1)
    data = bytearray(expected_segment(1, bytes(32), [(3, msgpack.packb({"changes": [], "details": {}}))]))
    data[at] ^= 2
    data[88:96] = short_hash(bytes(data[:88]))
    first_segment(how).write_bytes(data)
    with pytest.raises(NewerFormat, match="journal segment"):
        reopen(how)
    assert first_segment(how).read_bytes() == data


@pytest.mark.parametrize("payload", [b"", b"\x80", msgpack.packb({"changes": [], "details": {}}) + b"\0"])
def test_a_wrong_payload_is_refused(tmp_path, payload):
    how = settings(tmp_path)
    first_segment(how).write_bytes(expected_segment(1, bytes(32), [(3, payload)]))
    (raw,) = reopen(how).read_from(1)
    with pytest.raises(FormatError, match="payload"):
        raw.decode()


def test_an_entry_that_is_too_large_is_refused_before_it_is_written():
    with pytest.raises(FormatError, match="16777216"):
        encode_payload(JournalEntry(EntryKind.catalog, {}, [("t", b"k", bytes(16 << 20))]))


def test_an_entry_is_durable_before_the_next_is_written(tmp_path):
    """Whole entries behind a torn one look like damage of what was acknowledged."""
    door = RecordingDoor()
    journal = Journal.create(door, settings(tmp_path))
    door.calls.clear()
    write(journal, "a", "b", "c")
    of_one = ["pwrite", "pwrite", "fdatasync", "fdatasync"]
    assert [name for name, _ in door.calls] == of_one * 3
    journal.close()


@pytest.mark.parametrize("index", [None, "applied"])
def test_a_new_segment_that_holds_an_older_one_after_a_power_loss_is_no_segment(tmp_path, index):
    """A file whose size reached the disk and whose bytes did not shows what its blocks held before."""
    how = settings(tmp_path, segment_bytes=400)
    journal = Journal.create(SystemDoor(), how)
    end = write(journal, "a", "b", "c")
    journal.close()
    beside = how.directories[0] / f"{end.number + 1:016x}.journal"
    beside.write_bytes(first_segment(how).read_bytes())
    journal = Journal.open(SystemDoor(), how, Applied(end if index else None))
    assert journal.position == end
    assert texts(journal) == ["a", "b", "c"]
    assert not beside.exists()
    assert write(journal, "d").number == end.number + 1
    journal.close()
