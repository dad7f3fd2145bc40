"""The cache is only a help: whatever its bytes are, the job makes its safesets, and they are of what is on the disk."""

import os
import random
import re
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.support.trees import make_old
from tests.tools.agent.conftest import JOB_ID, Site, differences
from tools.client.failure import Failure

RANDOM_FLIPS = 12
# The bytes in front of a key say of which type each column is.
HEADER_BYTES = 16
SCHEMA_FLIPS = 12


async def test_no_flipped_bit_stops_a_job(site: Site) -> None:
    for number in range(24):
        directory = site.source / f"d{number % 3}"
        directory.mkdir(exist_ok=True)
        (directory / f"file{number}").write_bytes(os.urandom(50 + number))
    make_old(site.source)
    await site.back_up()
    path = site.state.job(JOB_ID).cache_path
    for place, bit in flips(whole := content_of(path), bytes(site.source)[1:].replace(b"/", b"\0")):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << bit
        put(path, bytes(flipped))
        (site.source / "d1" / "changes").write_bytes(os.urandom(30))
        with suppress(FailedCache):
            await back_up_with_hint(site)
        if (await site.back_up()).notes:  # met by this run, which told it: the next one reads more
            assert (await site.back_up()).notes == [], (place, bit)
        shutil.rmtree(site.target, ignore_errors=True)
        await site.restore()
        assert differences(site.source, site.restored_source) == "", (place, bit)


@pytest.mark.parametrize("value", ["CAST(key AS TEXT)", "7"])
async def test_a_path_of_another_type_stops_no_job(site: Site, value: str) -> None:
    """As one bit in front of it makes it."""
    for number in range(5):
        (site.source / f"file{number}").write_bytes(b"%d" % number)
    make_old(site.source)
    await site.back_up()
    with closing(sqlite3.connect(site.state.job(JOB_ID).cache_path)) as connection, connection:
        changed = connection.execute(f"UPDATE rows SET key = {value} WHERE key = (SELECT max(key) FROM rows)")
        assert changed.rowcount == 1
    with suppress(FailedCache):
        await back_up_with_hint(site)
    assert (await site.back_up()).notes == []


class FailedCache(Exception):
    """The one failure that is allowed: it says so, and the next run is good."""


async def back_up_with_hint(site: Site) -> None:
    try:
        await site.back_up()
    except Failure as failure:
        if "the cache in the agent's state failed" in failure.message:
            raise FailedCache from None
        raise


def flips(whole: bytes, key: bytes) -> list[tuple[int, int]]:
    """Places of bytes, and a bit of each."""
    chosen = random.Random(7)
    used = [place for place, byte in enumerate(whole) if byte]
    keys = [found.start() for found in re.finditer(re.escape(key), whole)]
    headers = [(keys[-1] - back, 0) for back in range(1, HEADER_BYTES)]
    schema = [place for place in used if place < 16_384]
    places = chosen.choices(used, k=RANDOM_FLIPS)
    return headers + [(place, chosen.randrange(8)) for place in places + chosen.choices(schema, k=SCHEMA_FLIPS)]


def content_of(path: Path) -> bytes:
    """All of it in one file."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    return path.read_bytes()


def put(path: Path, data: bytes) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(data)
