"""What the writer of a manifest takes its reader takes too: whatever a file system says of a path."""

import os
import stat
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.agent.scan import row_maker as row_maker_module
from tools.agent.scan.fingerprint import NEVER_THE_SAME, fingerprint_of
from tools.agent.scan.row_maker import RowMaker
from tools.agent.system import owners as owners_module
from tools.client.manifest import Leaf
from tools.client.manifest_decode import decode_block
from tools.client.manifest_writer import ManifestWriter

S = 10**9
KINDS = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFLNK: 3}
# More than 64 bits, as nanoseconds of 64-bit seconds are.
NUMBERS_64 = st.integers(0, 2**64 - 1)
TIMES_NS = st.integers(-(2**63) * S, 2**63 * S)
OWNERS = st.sampled_from((-1, 0)) | st.integers(0, 2**32 - 2)  # Python's -1 is 2^32 - 1
NAMES = st.none() | st.text(max_size=300) | st.binary(min_size=1, max_size=300).map(os.fsdecode)
EXTRAS = st.none() | st.fixed_dictionaries({}, optional={1: st.binary(max_size=5_000), 8: st.sampled_from([1, 2, 3])})
PATHS = st.binary(min_size=1, max_size=300).filter(
    lambda path: not {b"", b".", b".."} & set(path.split(b"/")) and b"\0" not in path
)


def status(kind: int, mode: int, inode: int, owner: tuple[int, int], times_ns: tuple[int, int]) -> os.stat_result:
    mtime_ns, ctime_ns = times_ns
    fields = [kind | mode, inode, 1, 1, *owner, 5, 0, 0, 0]
    return os.stat_result(fields, {"st_mtime_ns": mtime_ns, "st_ctime_ns": ctime_ns})


def decoded(path: bytes, prefix: bytes, extras: bytes | None, size: int) -> Leaf:
    blocks = []
    writer = ManifestWriter(b"k" * 32, lambda plaintext, body: blocks.append(plaintext) or bytes(32))  # type: ignore[func-returns-value]
    writer.add(b"\x01 before", RowMaker().other(b"\x01 before", PLAIN, NEVER_THE_SAME).prefix, (), None, 0)
    writer.add(path, prefix, (), extras, size)
    writer.finish()
    (leaf,) = [decode_block(block) for block in blocks]
    assert isinstance(leaf, Leaf)
    return leaf


PLAIN = status(stat.S_IFREG, 0o644, 1, (0, 0), (5, 5))


@settings(max_examples=300, deadline=None)
@given(
    path=PATHS, kind=st.sampled_from(sorted(KINDS)), mode=st.integers(0, 0o7777), inode=NUMBERS_64,
    owner=st.tuples(OWNERS, OWNERS), times_ns=st.tuples(TIMES_NS, TIMES_NS), size=st.integers(0, 2**63 - 1),
    names=st.tuples(NAMES, NAMES), hash=st.none() | st.binary(min_size=32, max_size=32), extras=EXTRAS,
)  # fmt: skip
def test_what_is_written_is_read(
    path: bytes, kind: int, mode: int, inode: int, owner: tuple[int, int], times_ns: tuple[int, int], size: int,
    names: tuple[str | None, str | None], hash: bytes | None, extras: dict[int, Any] | None,
) -> None:  # fmt: skip
    path = b"\x02" + path
    found = status(kind, mode, inode, owner, times_ns)
    with pytest.MonkeyPatch.context() as patch:
        for which, name in zip(("user_name", "group_name"), names, strict=True):
            known = name and owners_module._text(name)
            patch.setattr(row_maker_module, which, lambda number, known=known: known)
        fingerprint = fingerprint_of(found, 0)
        row = RowMaker().file(path, found, size, hash, (), fingerprint, extras)
    entry = decoded(path, row.prefix, row.extras, size).entries[1]
    mtime_ns = min(max(times_ns[0], -(2**63)), 2**63 - 1)
    assert (entry.path, entry.kind, entry.mode, entry.mtime_ns) == (path, KINDS[kind], mode, mtime_ns)
    assert (entry.uid, entry.gid) == (owner[0] % 2**32, owner[1] % 2**32)
    for written, name in zip((entry.user, entry.group), names, strict=True):
        assert written in (name, None)
    assert (entry.size, entry.hash, entry.extras or None) == (size, hash, extras or None)
    assert all(-(2**63) <= number < 2**63 for number in fingerprint)
