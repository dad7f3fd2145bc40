"""A cache from before the agent knew of attributes, links and holes: paths are read again, contents stay known."""

import os
import sqlite3

from tests.tools.agent.conftest import Site


async def test_each_path_is_looked_at_again_and_contents_stay_known(site: Site) -> None:
    content = os.urandom(50_000)
    (site.source / "file").write_bytes(content)
    os.utime(site.source / "file", ns=(1, 1_500_000_000_000_000_000))
    for _ in range(3):
        done = await site.back_up()
    assert done.scanned.bytes_read == 0
    with sqlite3.connect(next(site.state.path.rglob("cache.sqlite"))) as connection:
        connection.execute("UPDATE belongs SET version = 3")
    connection.close()
    done = await site.back_up()
    assert (done.scanned.bytes_read, done.sent.content_bytes) == (len(content), 0)
    assert (await site.back_up()).scanned.bytes_read == 0
