"""Extras that one entry has no room for: entries of the path that go on, as a reader joins them again."""

import msgpack

from tools.client.entry_packer import EntryPacker
from tools.client.extras_parts import PART_BYTES, extras_parts, first_extras, hole_bytes
from tools.client.manifest import PATH_BYTES_MAX, Extra

ATTRIBUTES = {b"user.%03d" % number: b"v" * 60_000 for number in range(40)}
HOLES = [number for at in range(60_000) for number in (at * 8192, 4096)]
EXTRAS = {2: b"s" * 16, 4: ATTRIBUTES, 5: HOLES, 9: 2}


def unpack(packed: bytes) -> dict[int, object]:
    unpacked: dict[int, object] = msgpack.unpackb(packed, strict_map_key=False)
    return unpacked


def test_few_are_one_map() -> None:
    packed = EntryPacker().extras({1: b"target"})
    assert packed is not None
    assert extras_parts(packed) == [packed]
    assert unpack(packed) == first_extras(packed) == {1: b"target"}
    assert EntryPacker().extras({}) is None


def test_many_are_parts_of_which_each_fits_an_entry() -> None:
    packed = EntryPacker().extras(EXTRAS)
    assert packed is not None
    first, *rest = map(unpack, extras_parts(packed))
    assert first == first_extras(packed)
    assert (first.pop(2), first.pop(9)) == (b"s" * 16, 2)
    assert all(part.keys() <= {Extra.ATTRIBUTES, Extra.HOLES} for part in rest)
    assert max(map(len, extras_parts(packed))) + PATH_BYTES_MAX < 524_288
    attributes: dict[bytes, bytes] = {}
    holes: list[int] = []
    for part in (first, *rest):
        attributes |= part.get(4, {})  # type: ignore[arg-type]
        holes += part.get(5, [])  # type: ignore[arg-type]
    assert (attributes, holes) == (ATTRIBUTES, HOLES)
    assert hole_bytes(packed) == 60_000 * 4096


def test_no_part_is_empty_and_each_is_filled() -> None:
    """A writer makes no empty map of extras, and fills an entry before it begins the next."""
    for extras in ({4: ATTRIBUTES}, {5: HOLES}, EXTRAS):
        packed = EntryPacker().extras(extras)  # type: ignore[arg-type]
        assert packed is not None
        parts = extras_parts(packed)
        assert all(map(unpack, parts))
        assert min(map(len, parts[:-1])) > PART_BYTES // 4
