"""What `ls` and `restore` ask the vault for, where a safeset has very many paths and only some of them are wanted.

After parameters and `restore.open`, which brings the top block, each level below it costs one round trip and the
contents one more: with the three levels that a million paths need four round trips from the opening on.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.tools.agent.conftest import PASSWORD, Site
from tests.tools.agent.planted import Planter, entry
from tools.agent.safeset.entries import Damage, walk_safeset
from tools.agent.safeset.unlock import Wanted, unlock
from tools.client import manifest_writer
from tools.client.record_format import RecordType

DIRECTORIES, FILES = 1200, 100
LEADING = [b"srv", b"srv/home", b"srv/home/alice", b"srv/home/alice/projects"]
DIRECTORY = LEADING[-1] + b"/d0777"
PATH = DIRECTORY + b"/file055"
CONTENT = b"one of very many"
OPENING = ["restore.parameters", "restore.open"]


@pytest.fixture
async def stored(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """So many leaves as a million paths have, small ones, below more than one inner block."""
    monkeypatch.setattr(manifest_writer, "LEAF_BYTES_MIN", 4_096)
    monkeypatch.setattr(manifest_writer, "LEAF_BYTES_MAX", 5_000)
    monkeypatch.setattr(manifest_writer, "INNER_ROWS_MAX", 512)
    (site.source / "file").write_bytes(b"any, to have keys")
    await site.back_up()
    planter = Planter(site)
    chunk = planter.chunk(CONTENT)
    planter.plant_cut(entries(chunk, planter.content_hash(CONTENT)))
    assert site.vault.roots[-1][0][224] == 2, "levels below the top"
    assert len(site.vault.ids_of_type(RecordType.MANIFEST)) > 1_000
    site.vault.asked.clear()
    site.vault.fetches.clear()
    return site


def entries(chunk: bytes, content_hash: bytes) -> Iterator[list[Any]]:
    for path in [b"", *LEADING]:
        yield entry(path, kind=2, mode=0o755)
    for d in range(DIRECTORIES):
        directory = LEADING[-1] + b"/d%04d" % d
        yield entry(directory, kind=2, mode=0o750)
        for f in range(FILES):
            path = directory + b"/file%03d" % f
            is_it = path == PATH
            extents = [chunk, 0, len(CONTENT)] if is_it else []
            yield entry(path, content_hash if is_it else None, len(CONTENT) if is_it else 0, extents=extents)


async def listed(site: Site, path: bytes) -> list[bytes]:
    """As `vault-agent ls` does it."""
    unlocked = await unlock(site.agent.session, site.state, Wanted("job", None, 0), PASSWORD)
    damage = Damage()
    found = [one.path async for part in walk_safeset(unlocked, path, damage) for one in part]
    assert not damage
    return found


def blocks_of_each_round(site: Site) -> list[int]:
    """Each block comes with its companion."""
    return [len(ids) // 2 for ids in site.vault.fetches]


async def test_a_listing_of_one_path_fetches_one_block_of_each_level(stored: Site) -> None:
    assert await listed(stored, PATH) == [PATH]
    assert (stored.vault.asked, blocks_of_each_round(stored)) == (OPENING, [1, 1])


async def test_a_listing_of_one_directory_fetches_the_blocks_that_it_lies_in(stored: Site) -> None:
    assert len(await listed(stored, DIRECTORY)) == 1 + FILES
    (inner, leaves) = blocks_of_each_round(stored)
    assert (inner <= 2, leaves <= 4) == (True, True), "its 101 entries have fewer bytes than two leaves"


async def test_a_listing_of_a_path_that_is_not_there_fetches_no_more(stored: Site) -> None:
    assert await listed(stored, DIRECTORY + b"/file055x") == []
    assert all(blocks <= 1 for blocks in blocks_of_each_round(stored))


async def test_a_restore_of_one_path_takes_four_round_trips_and_fetches_only_its_blocks(stored: Site) -> None:
    """One block of each level for the path, and at most two for the directories above: the first ones, and its own."""
    result = await stored.restore([b"/" + PATH])
    assert (result.files, result.missed.kept, result.is_damaged) == (1, [], False)
    there = stored.target / PATH.decode()
    assert (there.read_bytes(), there.parent.stat().st_mode & 0o777) == (CONTENT, 0o750)
    *rounds, last = stored.vault.fetches
    assert (stored.vault.asked, len(rounds), len(last)) == (OPENING, 2, 1)
    assert all(len(ids) <= 2 * 3 for ids in rounds)
    assert stored.vault.asked_twice() == []


async def test_a_restore_of_one_path_needs_no_second_connection(stored: Site) -> None:
    stored.vault.calls.clear()
    await stored.restore([b"/" + PATH])
    assert stored.vault.calls == 3 * [("chunk.fetch", True)]
