"""The set of a mark against Python's own."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vaultd.operations import prefix_set
from vaultd.operations.prefix_set import PrefixSet

# Small ones, those at the edges of its parts, and the largest.
NUMBERS = st.one_of(
    st.integers(0, 50),
    st.integers(0, 15).flatmap(lambda part: st.integers(max(0, (part << 60) - 2), (part << 60) + 2)),
    st.integers(0, (1 << 64) - 1),
    st.just((1 << 64) - 1),
)


@settings(max_examples=200, deadline=None)
@given(batches=st.lists(st.lists(NUMBERS, max_size=30), max_size=6), asked=st.lists(NUMBERS, max_size=60))
def test_it_holds_what_was_added_and_nothing_else(batches: list[list[int]], asked: list[int]) -> None:
    held, model = PrefixSet(), set[int]()
    asked = sorted({*asked, *(number for batch in batches for number in batch[:3])})
    for batch in batches:
        held.add(b"".join(number.to_bytes(8, "big") for number in batch))
        model.update(batch)
        for _ in range(2):  # while they wait, and sorted in
            found = held.holds(np.array(asked, np.uint64)).tolist()
            assert found == [number in model for number in asked]
            held.settle()
        assert len(held) == len(model)


def test_who_asks_merges_nothing() -> None:
    held = PrefixSet()
    held.add((7).to_bytes(8, "big"))
    assert held.holds(np.array([6, 7], np.uint64)).tolist() == [False, True]
    assert len(held) == 0


def test_it_sorts_in_what_waits_when_that_is_much(monkeypatch) -> None:
    monkeypatch.setattr(prefix_set, "_WAITING_MIN", 4)
    held = PrefixSet()
    held.add(b"".join(number.to_bytes(8, "big") for number in (3, 1, 2)))
    assert len(held) == 0
    held.add((1).to_bytes(8, "big"))
    assert len(held) == 3
