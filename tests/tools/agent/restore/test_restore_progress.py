"""What a restore tells while it goes on reaches what was protected, whatever of it has to be written."""

import os

from tests.tools.agent.conftest import PASSWORD, Site
from tools.agent.restore.restore import Destination, Restored, prepare_root, restore
from tools.agent.restore.survey import Overwrite
from tools.agent.safeset.entries import wanted_paths
from tools.agent.safeset.unlock import Wanted, unlock

MIB = 1024 * 1024


async def told_last(site: Site) -> tuple[Restored, int]:
    told = [0]
    prepare_root(site.target)
    unlocked = await unlock(site.agent.session, site.state, Wanted("job", None, 0), PASSWORD)
    destination = Destination(site.target, Overwrite.never)
    restored = await restore(unlocked, wanted_paths([]), destination, lambda _, done_bytes: told.append(done_bytes))
    assert told == sorted(told)
    return restored, told[-1]


async def test_the_progress_reaches_what_was_protected(site: Site) -> None:
    """Holes are protected bytes that nothing is written for, further names are none, and what stays is done."""
    (site.source / "sparse").write_bytes(os.urandom(2 * MIB))
    os.truncate(site.source / "sparse", 100 * MIB)
    (site.source / "a").write_bytes(os.urandom(MIB))
    os.link(site.source / "a", site.source / "b")
    done = await site.back_up()
    assert done.scanned.protected_bytes == 101 * MIB
    restored, told_bytes = await told_last(site)
    assert (restored.bytes, told_bytes) == (3 * MIB, 101 * MIB)
    (site.restored_source / "sparse").unlink()
    restored, told_bytes = await told_last(site)
    assert (restored.bytes, told_bytes) == (2 * MIB, 101 * MIB)
