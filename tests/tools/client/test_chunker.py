import hashlib
import random

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.client import second_implementation as second
from tests.tools.client.vectors import load
from tools.client.chunker import BUNDLE_MAX_BYTES, FileCutter, bundle_ends_after, bundle_ends_before

V = load("chunker")
SEED = bytes(range(8))
CONTENT = blake3(b"property test").digest(length=14 << 20)
WHOLE = FileCutter(SEED).cut(CONTENT, final=True)


def content_of(v):
    size_bytes = v["size_bytes"]
    return bytes(size_bytes) if v["content"] == "zeros" else blake3(b"chunker vector").digest(length=size_bytes)


@pytest.mark.parametrize("v", V["cuts"], ids=lambda v: f"{v['content']}-{v['size_bytes']}")
def test_the_frozen_cut_points_hold(v):
    assert FileCutter(v["seed"]).cut(content_of(v), final=True) == v["lengths"]


@pytest.mark.parametrize("v", V["cuts"][1:], ids=lambda v: f"{v['content']}-{v['size_bytes']}")
def test_the_second_implementation_finds_the_frozen_cut_points(v):
    assert second.cut_points(content_of(v), int.from_bytes(v["seed"], "little")) == v["lengths"]


def test_the_gear_table_is_the_public_one():
    assert second.GEAR[0] == 0x3B5D3C7D207E37DC
    assert second.GEAR[255] == 0xAABD2B2A451504E1
    assert hashlib.sha256(b"".join(value.to_bytes(8, "big") for value in second.GEAR)).digest() == V["gear_sha256"]


def test_seeds_move_the_cuts():
    assert FileCutter(bytes(8)).cut(CONTENT, final=True) != WHOLE
    with pytest.raises(ValueError, match="8 bytes"):
        FileCutter(bytes(7))


def read_in(sizes, content=CONTENT):
    """Cuts as a reader does: keeps the uncovered rest and puts the next read behind it."""
    cutter, lengths, rest, position, turn = FileCutter(SEED), [], b"", 0, 0
    while position < len(content):
        piece = content[position : position + sizes[turn % len(sizes)]]
        position += len(piece)
        turn += 1
        rest += piece
        found = cutter.cut(memoryview(rest), final=False)
        lengths += found
        rest = rest[sum(found) :]
        assert len(rest) < 4_194_304
    return lengths + cutter.cut(rest, final=True)


@given(st.lists(st.integers(200_000, 6_000_000), min_size=1, max_size=6))
@settings(max_examples=25, database=None, deadline=None)
def test_cut_points_do_not_depend_on_read_sizes(sizes):
    assert read_in(sizes) == WHOLE


@given(st.integers(0, len(CONTENT)))
@settings(max_examples=25, database=None, deadline=None)
def test_what_is_cut_without_knowing_the_end_is_cut_the_same_with_it(length):
    early = FileCutter(SEED).cut(CONTENT[:length], final=False)
    assert early == WHOLE[: len(early)]
    final = FileCutter(SEED).cut(CONTENT[:length], final=True)
    assert sum(final) == length
    assert final[: len(early)] == early
    assert len(final) - len(early) <= 1


@pytest.mark.parametrize("at", [*(sum(WHOLE[:3]) + d for d in (-2, -1, 0, 1, 2)), sum(WHOLE[:2]) + 524_288])
def test_an_end_next_to_a_cut_moves_nothing(at):
    assert read_in([at, 1, len(CONTENT)]) == WHOLE


def test_an_insertion_moves_only_the_cuts_around_it():
    changed = CONTENT[: 3 << 20] + b"inserted" + CONTENT[3 << 20 :]
    before, after = ends_from_the_back(WHOLE), ends_from_the_back(FileCutter(SEED).cut(changed, final=True))
    assert len(set(after) - set(before)) <= 5
    assert after[:3] == before[:3]


def ends_from_the_back(lengths):
    total, ends = 0, []
    for length in reversed(lengths):
        total += length
        ends.append(total)
    return ends


def test_uniform_content_is_cut_at_the_maximum():
    assert FileCutter(SEED).cut(bytes(9 << 20), final=False) == [4 << 20, 4 << 20]
    assert FileCutter(SEED).cut(bytes(4 << 20), final=False) == [4 << 20]
    assert FileCutter(SEED).cut(bytes((4 << 20) - 1), final=False) == []


@pytest.mark.parametrize("length", [0, 1, 2, 524_287, 524_288])
def test_tails_are_whole(length):
    cutter = FileCutter(SEED)
    assert cutter.cut(CONTENT[:length], final=True) == ([length] if length else [])
    assert cutter.cut(CONTENT[:length], final=False) == []


# Bundles


@pytest.mark.parametrize(
    ("bundle", "size", "ends"),
    [(0, 1, False), (0, BUNDLE_MAX_BYTES, False), (1, 2_097_151, False), (1, 2_097_152, True), (2_097_152, 1, True)],
)
def test_a_bundle_ends_before_a_file_that_would_make_it_too_large(bundle, size, ends):
    assert bundle_ends_before(bundle, size) is ends


def hash_of(value):
    return value.to_bytes(8, "little") + b"\xff" * 24


@pytest.mark.parametrize(
    ("bundle", "value", "size", "ends"),
    [
        (524_287, 0, 100, False),
        (524_288, 0, 100, True),
        (524_288, 100 * 2**45 - 1, 100, True),
        (524_288, 100 * 2**45, 100, False),
        (2_097_152, 2**64 - 1, 524_287, False),
        (524_288, 2**64 - 1, 524_288, True),
        (1_000_000, 2**64 - 1, 900_000, True),
        (1_000_000, 2**63, 262_144, False),
        (1_000_000, 2**63 - 1, 262_144, True),
    ],
)
def test_a_bundle_ends_after_a_file_whose_hash_says_so(bundle, value, size, ends):
    assert bundle_ends_after(bundle, hash_of(value), size) is ends


def test_bundles_have_about_a_mebibyte():
    source, sizes, bundle = random.Random(3), [], 0
    for _ in range(20_000):
        size = source.randrange(1, 30_000)
        if bundle_ends_before(bundle, size):
            sizes.append(bundle)
            bundle = 0
        bundle += size
        if bundle_ends_after(bundle, source.randbytes(32), size):
            sizes.append(bundle)
            bundle = 0
    assert 900_000 < sum(sizes) / len(sizes) < 1_150_000
