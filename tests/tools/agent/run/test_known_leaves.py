"""A run that adds leaves of its base as they are makes the very manifest that it would make from all rows."""

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from tools.agent.cache.belonging import Base, Belonging
from tools.agent.cache.cache import Cache
from tools.agent.cache.cached_row import CachedRow, row_checksum
from tools.agent.chunks.extent_list import pack_extents
from tools.agent.missed import Missed
from tools.agent.run.feed import Feed
from tools.agent.run.run_journal import RunJournal
from tools.agent.scan.batch import Batch, ScanRow
from tools.agent.scan.fingerprint import Fingerprint
from tools.agent.upload.outgoing import Outgoing
from tools.client import manifest_writer
from tools.client.entry_packer import EntryPacker
from tools.client.manifest import Kind, sort_key
from tools.client.manifest_writer import ManifestWriter, WrittenManifest

BELONGING = Belonging(b"k" * 16, 1, b"m" * 16, b"j" * 16, 1)
CUT_KEY = b"c" * 32
Tree = dict[bytes, int]
"""Which version of it is at each path."""


@pytest.fixture(autouse=True)
def small_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """About six paths in each, and four leaves in a block above."""
    monkeypatch.setattr(manifest_writer, "LEAF_BYTES_MIN", 300)
    monkeypatch.setattr(manifest_writer, "_LEAF_CUT_BELOW", 2**64 // 4)
    monkeypatch.setattr(manifest_writer, "LEAF_BYTES_MAX", 2_500)
    monkeypatch.setattr(manifest_writer, "INNER_ROWS_MIN", 2)
    monkeypatch.setattr(manifest_writer, "_INNER_CUT_BELOW", 2**64 // 4)


class Row(ScanRow):
    """Some have so many extents that they fill further entries, but not below `plain`."""

    def extent_parts(self) -> Iterator[bytes]:
        draw = random.Random(self.prefix)
        parts = draw.choice((1, 1, 1, 1, 2, 5)) if self.content_bytes else 0
        parts = min(parts, 1) if self.path.startswith(b"plain") else parts
        for part in range(parts):
            extents = [(draw.randbytes(32), 0, 7) for _ in range(draw.randrange(1, 12))]
            yield pack_extents(extents[: 1 if parts == 1 else None] if part == 0 else extents)


def row_of(path: bytes, version: int) -> Row:
    packer = EntryPacker()
    draw = random.Random(path + bytes([version % 256]))
    kind = draw.choice((Kind.FILE, Kind.FILE, Kind.FILE, Kind.DIRECTORY, Kind.SYMBOLIC_LINK))
    size = draw.randrange(1, 5000) if kind is Kind.FILE else 0
    prefix = packer.prefix(path, packer.access(kind, 0o644, 0, 0, None, None), version, size, sha256(path).digest())
    extras = packer.extras({1: b"target" * draw.randrange(1, 40)}) if kind is Kind.SYMBOLIC_LINK else None
    return Row(path, prefix, (), extras, size, Fingerprint(size, version, version, 1))


class Blocks:
    """What the vault has."""

    def __init__(self) -> None:
        self.stored: set[bytes] = set()

    def block(self, plaintext: bytes, companion_body: bytes) -> tuple[Outgoing, Outgoing]:
        self.stored |= {plaintext, companion_body}
        return Outgoing(2, sha256(plaintext).digest(), plaintext), Outgoing(3, b"", companion_body)


class Run:
    """One after another with one cache, and beside each one that has none."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = count()
        self.vault = Blocks()

    def open(self, name: str = "cache") -> Cache:
        return Cache(self._directory / name, BELONGING)

    def feed(self, cache: Cache, blocks: Blocks) -> Feed:
        journal = RunJournal(self._directory / f"journal-{next(self._numbers)}", BELONGING)
        return Feed(CUT_KEY, blocks, cache, Missed(), journal)  # type: ignore[arg-type]

    def make(self, batches: list[Batch]) -> WrittenManifest:
        with closing(self.open()) as cache:
            cache.begin()
            feed = self.feed(cache, self.vault)
            for batch in batches:
                list(feed.add(batch))
            written, _ = feed.finish()
            hash = sha256(written.top_block + bytes([next(self._numbers) % 256])).digest()
            cache.commit(Base(hash, written.top_block, written.top_companion, written.level))
            assert cache.failure is None
        return written

    def anew(self, rows: list[ScanRow]) -> tuple[WrittenManifest, Blocks, Counter[int]]:
        """By a run without a base."""
        blocks = Blocks()
        with closing(self.open(f"anew-{next(self._numbers)}")) as cache:
            cache.begin()
            feed = self.feed(cache, blocks)
            list(feed.add(Batch(rows=list(rows))))
            return feed.finish()[0], blocks, feed._writer.kinds


def batches_of(draw: random.Random, before: Tree, now: Tree) -> list[Batch]:
    """As the scan hands them over: in order, while rows may wait, so that a path may be gone some batches too early."""
    paths = sorted(now, key=sort_key)
    ends = sorted(draw.sample(range(len(paths) + 1), min(len(paths), draw.randrange(1, 9))))
    batches, numbers, begin = [], {}, 0
    for end in [*ends, len(paths)]:
        rows: list[ScanRow | bytes] = [
            sort_key(path) if before.get(path) == now[path] else row_of(path, now[path]) for path in paths[begin:end]
        ]
        for path in paths[begin:end]:
            numbers[sort_key(path)] = len(batches)
        batches.append(Batch(rows=rows))
        begin = end
    latest = len(batches) - 1
    gone = sorted(sort_key(path) for path in before.keys() - now.keys())
    for key in reversed(gone):
        behind = [number for other, number in numbers.items() if other > key]
        latest = draw.randint(max(0, min([latest, *behind]) - 2), min([latest, *behind]))
        batches[latest].gone.insert(0, key)
    return batches


def grown(draw: random.Random, paths: int) -> Tree:
    return {b"d%02d/f%03d" % (draw.randrange(9), draw.randrange(500)): 1 for _ in range(paths)} | {b"top": 1}


def changed(draw: random.Random, tree: Tree) -> Tree:
    now = dict(tree)
    for path in draw.sample(sorted(now), draw.choice((0, 1, 1, 2, 5, len(now) // 4))):
        now[path] += 1
    for path in draw.sample(sorted(now), draw.choice((0, 0, 1, 2, len(now) // 8))):
        del now[path]
    new = draw.sample(sorted(grown(draw, 40)), draw.choice((0, 0, 1, 3)))
    return dict.fromkeys(new, 7) | now


@pytest.mark.parametrize("seed", range(40))
def test_it_is_the_manifest_of_all_rows(tmp_path: Path, seed: int) -> None:
    draw, runs = random.Random(seed), Run(tmp_path)
    before: Tree = {}
    now = grown(draw, 150)
    for _ in range(6):
        written = runs.make(batches_of(draw, before, now))
        expected, blocks, _ = runs.anew([row_of(path, now[path]) for path in sorted(now, key=sort_key)])
        assert (written.top_block, written.top_companion, written.level) == (
            expected.top_block, expected.top_companion, expected.level
        )  # fmt: skip
        assert blocks.stored <= runs.vault.stored
        before, now = now, changed(draw, now)


@pytest.mark.parametrize("seed", range(20))
def test_a_provisional_one_has_every_path_that_came(tmp_path: Path, seed: int) -> None:
    draw, runs = random.Random(seed), Run(tmp_path)
    before = grown(draw, 150)
    runs.make(batches_of(draw, {}, before))
    now = changed(draw, before) | {b"a": 9}  # the first path is new, so that all else is written
    came: list[ScanRow] = []
    with closing(runs.open()) as cache:
        cache.begin()
        feed = runs.feed(cache, runs.vault)
        for batch in batches_of(draw, before, now):
            list(feed.add(batch))
            paths = [row.replace(b"\0", b"/") if isinstance(row, bytes) else row.path for row in batch.rows]
            came += [row_of(path, now[path]) for path in paths]
            so_far = feed.so_far()
            if came:
                assert so_far is not None
                expected, _, kinds = runs.anew(came)
                assert (so_far.manifest, so_far.kinds) == (expected, kinds)


def rows_written(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    written: list[bytes] = []
    real = ManifestWriter.add

    def add(self: ManifestWriter, path: bytes, *arguments: object) -> None:
        written.append(path)
        real(self, path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ManifestWriter, "add", add)
    return written


def test_a_change_costs_what_is_near_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw, runs = random.Random(1), Run(tmp_path)
    tree = {b"plain/%04d" % number: 1 for number in range(1000)}
    runs.make(batches_of(draw, {}, tree))
    written = rows_written(monkeypatch)
    for path in (min(tree), sorted(tree)[500], max(tree)):
        written.clear()
        now = tree | {path: tree[path] + 1}
        runs.make(batches_of(draw, tree, now))
        assert path in written
        assert len(written) < 100
        tree = now


def test_leaves_of_another_manifest_say_nothing(tmp_path: Path) -> None:
    """An older program knows nothing of them: it keeps rows and base up, and leaves them as they were."""
    draw, runs = random.Random(2), Run(tmp_path)
    trees = [grown(draw, 150)]
    runs.make(batches_of(draw, {}, trees[0]))
    with closing(sqlite3.connect(tmp_path / "cache")) as cache:
        leaves, of = (
            cache.execute("SELECT * FROM leaves").fetchall(),
            cache.execute("SELECT * FROM leaves_of").fetchall(),
        )
    assert leaves
    for _ in range(2):
        trees.append({path: version + 1 for path, version in trees[-1].items()})
        runs.make(batches_of(draw, *trees[-2:]))
        with closing(sqlite3.connect(tmp_path / "cache")) as cache, cache:
            cache.executescript("DELETE FROM leaves; DELETE FROM leaves_of")
            cache.executemany("INSERT INTO leaves VALUES (?,?,?,?,?,?,?,?)", leaves)
            cache.executemany("INSERT INTO leaves_of VALUES (?)", of)
    now = trees[-1] | {b"zzz": 1}
    written = runs.make(batches_of(draw, trees[-1], now))
    assert written == runs.anew([row_of(path, now[path]) for path in sorted(now, key=sort_key)])[0]


@pytest.mark.parametrize("column", ["last", "block", "companion", "entries", "content_bytes", "kinds"])
def test_a_leaf_that_is_not_as_it_was_ends_the_run_that_would_use_it(tmp_path: Path, column: str) -> None:
    draw, runs = random.Random(3), Run(tmp_path)
    tree = grown(draw, 150)
    runs.make(batches_of(draw, {}, tree))
    with closing(sqlite3.connect(tmp_path / "cache")) as cache, cache:
        (value,) = cache.execute(f"SELECT {column} FROM leaves ORDER BY first LIMIT 1 OFFSET 3").fetchone()
        other = value + 1 if isinstance(value, int) else bytes([value[0] ^ 1]) + value[1:]
        cache.execute(f"UPDATE leaves SET {column} = ? WHERE {column} = ?", (other, value))
    with pytest.raises(sqlite3.DatabaseError):
        runs.make(batches_of(draw, tree, tree | {b"zzz": 1}))


def test_a_run_that_goes_on_with_another_one_takes_no_leaf_of_the_base(tmp_path: Path) -> None:
    """Rows of that run hide those of the base, which its leaves still have, and nothing else says that they differ."""
    draw, runs = random.Random(5), Run(tmp_path)
    tree = {b"plain/%04d" % number: 1 for number in range(200)}
    runs.make(batches_of(draw, {}, tree))
    now = dict.fromkeys(sorted(tree)[80:90], 2)
    with closing(runs.open()) as cache:
        cache.begin_resumed()
        cache.add_resumed([cached(row_of(path, version)) for path, version in now.items()], [])
        cache.end_resumed()
        cache.begin()
        feed = runs.feed(cache, runs.vault)
        for batch in batches_of(draw, tree, tree):
            list(feed.add(batch))
        written, _ = feed.finish()
    assert written == runs.anew([row_of(path, version) for path, version in (tree | now).items()])[0]


def cached(row: Row) -> CachedRow:
    """One of a single part of extents."""
    key, extents = sort_key(row.path), next(row.extent_parts(), b"")
    checksum = row_checksum(key, row.prefix, extents, row.extras, 0)
    return CachedRow(key, *row.fingerprint, row.prefix, extents, 0, row.extras, checksum)


def test_a_cache_without_leaves_gets_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw, runs = random.Random(4), Run(tmp_path)
    tree = grown(draw, 300)
    runs.make(batches_of(draw, {}, tree))
    with closing(sqlite3.connect(tmp_path / "cache")) as cache, cache:
        cache.executescript("DROP TABLE leaves; DROP TABLE leaves_of")
    written = rows_written(monkeypatch)
    counts = []
    for number in range(2):
        written.clear()
        now = tree | {b"zzz": number}
        runs.make(batches_of(draw, tree, now))
        counts.append(len(written))
        tree = now
    assert counts[0] == len(tree)
    assert counts[1] < len(tree) // 2
