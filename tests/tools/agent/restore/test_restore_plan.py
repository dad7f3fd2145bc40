"""Which bytes of an entry's extents are fetched and written."""

from dataclasses import replace

from tools.agent.restore.restore_plan import Planner
from tools.agent.safeset.window import Begin, End, Part
from tools.client.manifest import Entry, Kind

A, B, C = b"a" * 32, b"b" * 32, b"c" * 32
STREAMS = {7: {3: {b"Zone.Identifier": [30, b"h" * 32]}}}


def parts(*entries: Entry) -> list[tuple[int, int]]:
    planner = Planner()
    for entry in entries:
        assert list(planner.add(entry)) == []
    window = planner.finish()
    assert isinstance(window.steps[0], Begin)
    assert isinstance(window.steps[-1], (Begin, End))
    return [(step.offset, step.length) for step in window.steps if isinstance(step, Part)]


def file(size: int, extents: tuple[tuple[bytes, int, int], ...], extras: dict[int, object] | None) -> Entry:
    return Entry(b"x", Kind.FILE, 0o644, 0, 0, None, None, 0, size, b"h" * 32, extents, extras)


def test_alternate_streams_are_neither_fetched_nor_written() -> None:
    assert parts(file(10, ((A, 3, 40),), STREAMS)) == [(3, 10)]
    assert parts(file(10, ((A, 0, 10), (B, 0, 30)), STREAMS)) == [(0, 10)]
    assert parts(file(0, ((A, 0, 30),), STREAMS)) == []
    first, second = file(50, ((A, 0, 40),), STREAMS), file(50, ((B, 5, 20), (C, 0, 20)), None)
    second = replace(second, is_continuation=True)
    assert parts(first, second) == [(0, 40), (5, 10)]


def test_a_file_without_streams_has_all_its_extents_even_wrong_ones() -> None:
    assert parts(file(10, ((A, 0, 10), (B, 0, 30)), None)) == [(0, 10), (0, 30)]
