"""What a manifest writer takes of an entry, compared with msgpack's own packing of the whole list."""

from typing import Any

import msgpack
import pytest

from tools.client.entry_packer import EntryPacker

Fields = tuple[bytes, int, int, int, int, str | None, str | None, int, int, bytes | None]

ENTRIES: list[Fields] = [
    (b"", 2, 0o755, 0, 0, "root", "root", 5, 0, None),
    (b"a", 2, 0o755, 0, 0, "root", "root", -5, 0, None),
    (b"a/b", 1, 0o644, 1000, 1000, None, None, 10**18, 300, b"h" * 32),
    (b"a/" + b"\xff" * 300, 3, 0o7777, 2**32 - 1, 2**32 - 1, "Hüllhorst", None, -(2**63), 2**63 - 1, None),
]


@pytest.mark.parametrize("fields", ENTRIES)
def test_an_entry_packs_as_its_first_ten_elements(fields: Fields) -> None:
    packer = EntryPacker()
    for _ in range(2):
        prefix = packer.prefix(fields[0], packer.access(*fields[1:7]), *fields[7:])
        assert b"\x9a" + prefix == msgpack.packb(list(fields), use_bin_type=True)


@pytest.mark.parametrize("extras", [{1: b"../x"}, {4: {b"user.k": b"v"}, 5: [10, 20], 8: 1}])
def test_extras_pack_as_their_map(extras: dict[int, Any]) -> None:
    assert EntryPacker().extras(extras) == msgpack.packb(extras, use_bin_type=True)


def test_without_extras_nothing_is_packed() -> None:
    assert EntryPacker().extras(None) is EntryPacker().extras({}) is None


@pytest.mark.parametrize("path", [b"/a", b"a/../b", b"a\0b", b"a" * 262_145])
def test_a_path_that_could_lead_elsewhere_is_refused(path: bytes) -> None:
    with pytest.raises(ValueError, match="path"):
        EntryPacker().prefix(path, b"", 0, 0, None)
