from dataclasses import replace

import pytest

from tools.client.manifest import Entry, Kind
from tools.client.manifest_join import EntryJoiner
from tools.client.record_format import IntegrityError

HASH, CHUNK = b"h" * 32, b"c" * 32
FILE = Entry(b"a", Kind.FILE, 0o644, 1, 2, "u", None, 5, 90, HASH)
DIRECTORY = Entry(b"d", Kind.DIRECTORY, 0o755, 1, 2, None, "g", 5, 0, None)


def joined(*stored):
    joiner = EntryJoiner()
    return [entry for one in stored for entry in joiner.add(one)] + list(joiner.finish())


def part(extras=None, *, of=FILE, extents=0, first=0):
    return replace(of, extras=extras, extents=tuple((CHUNK, first + i, 1) for i in range(extents)))


def test_entries_of_different_paths_come_as_they_are():
    entries = [FILE, replace(FILE, path=b"b"), part(extents=3), DIRECTORY]
    assert joined(*entries) == entries


def test_extents_go_on_one_entry_after_the_other():
    parts = [part({4: {b"user.a": b"1"}}, extents=2), part(extents=1, first=2), part(extents=4, first=3)]
    assert joined(*parts, DIRECTORY) == [
        parts[0], replace(parts[1], is_continuation=True), replace(parts[2], is_continuation=True), DIRECTORY,
    ]  # fmt: skip


def test_extras_go_on_before_extents_and_come_together():
    first = {2: b"x", 4: {b"user.a": b"1"}, 5: [0, 10], 7: {2: 32, 3: {b"s": [1, HASH]}}}
    untouched = {2: b"x", 4: {b"user.a": b"1"}, 5: [0, 10], 7: {2: 32, 3: {b"s": [1, HASH]}}}
    parts = [part(first), part({5: [10, 5, 20, 1]}), part({4: {b"user.b": b"2"}, 7: {3: {b"a": [2, HASH]}}}, extents=1)]
    whole, more = joined(*parts, part(extents=2, first=1))
    assert whole.extras == {
        2: b"x", 4: {b"user.a": b"1", b"user.b": b"2"}, 5: [0, 10, 10, 5, 20, 1],
        7: {2: 32, 3: {b"s": [1, HASH], b"a": [2, HASH]}},
    }  # fmt: skip
    assert list(whole.extras[7][3]) == [b"s", b"a"]
    assert (whole.extents, whole.is_continuation) == (((CHUNK, 0, 1),), False)
    assert (more.extents, more.is_continuation, more.extras) == (((CHUNK, 1, 1), (CHUNK, 2, 1)), True, None)
    assert first == untouched


def test_a_directory_continues_with_its_attributes():
    parts = [part({4: {b"user.%d" % i: bytes(9)}}, of=DIRECTORY) for i in range(5)]
    (whole,) = joined(*parts)
    assert whole == part({4: {b"user.%d" % i: bytes(9) for i in range(5)}}, of=DIRECTORY)


def test_what_was_left_out_of_any_part_is_remembered():
    (whole,) = joined(part({4: {b"a": b""}}), replace(FILE, has_unknown=True), part({5: [1, 2]}, extents=1))
    assert whole.has_unknown


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ([part(), part()], "adds nothing"),
        ([part(extents=1), part()], "adds nothing"),
        ([part(), part({})], "adds nothing"),
        ([part(), part(of=replace(DIRECTORY, path=b"a"))], "two different entries"),
        ([part(extents=1), part(of=replace(FILE, mode=0o4755), extents=1)], "two different entries"),
        ([part(extents=1), part(of=replace(FILE, hash=CHUNK), extents=1)], "two different entries"),
        ([part(extents=1), part(of=replace(FILE, mtime_ns=6), extents=1)], "two different entries"),
        ([part({4: {b"x": b"1"}}), part({4: {b"x": b"1"}})], "b'x' is twice"),
        ([part({7: {3: {b"s": [1, HASH]}}}), part({7: {3: {b"s": [1, HASH]}}})], "b's' is twice"),
        ([part({5: [10, 5]}), part({5: [12, 5]})], "holes"),
        ([part(), part({1: b"x"})], "extra 1"),
        ([part(), part({8: 1})], "extra 8"),
        ([part(), part({7: {2: 1, 3: {}}})], "extra 7"),
        ([part(extents=1), part({4: {b"x": b"1"}})], "after the extents"),
        ([part(extents=1), replace(part(extents=1), has_unknown=True)], "after the extents"),
    ],
)
def test_entries_that_do_not_continue_are_refused(parts, sentence):
    with pytest.raises(IntegrityError, match=sentence) as caught:
        joined(*parts)
    assert "b'a'" in str(caught.value)


def test_the_extras_of_one_path_have_a_limit():
    """16 MiB of msgpack, all together."""
    pieces = [part({4: {b"user.%02d" % i: bytes(500_000)}}) for i in range(34)]
    (whole,) = joined(*pieces[:33])
    assert len(whole.extras[4]) == 33
    with pytest.raises(IntegrityError, match=r"extras of b'a' have more than 16777216 bytes"):
        joined(*pieces)


@pytest.mark.parametrize("more", [{7: {}}, {7: {3: {b"b": [1, HASH]}}}])
def test_extra_7_goes_on_with_what_a_later_version_put_there(more):
    first = part({7: {3: {b"a": [1, HASH]}}})
    (whole,) = joined(first, replace(part(more, extents=1), has_unknown=True))
    assert list(whole.extras[7][3]) == ([b"a", b"b"] if more[7] else [b"a"])
    assert whole.has_unknown
