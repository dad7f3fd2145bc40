"""The daemon, but it looks every second for safesets that are to be purged, and writes down how long commits of
safesets held its write thread and when collections went on: `python -m benchmarks.load.timed_vault …`, as `vaultd …`.

With TIMED_VAULT_COLLECTS=1 one collection follows the other without a pause.
"""

from __future__ import annotations

import json
import os
import time
from functools import wraps
from pathlib import Path
from typing import Any

from vaultd import offload
from vaultd.__main__ import main
from vaultd.maintenance import collection, expiry
from vaultd.operations import safesets
from vaultd.operations.vault import Vault

NOTES, COLLECTS = "TIMED_VAULT_NOTES", "TIMED_VAULT_COLLECTS"
COMMITS = (safesets.commit_unless_stale, safesets.commit)

write_untimed = offload.write
collect_untimed = collection.collect_once
resume_moves = collection.resume_moves


def note(what: str, begin_seconds: float, begin: float, **more: float) -> None:
    """`begin_seconds` since 1970, for who looks from outside; `begin` by the clock that never jumps."""
    line = {"what": what, "begin_seconds": begin_seconds, "seconds": time.perf_counter() - begin, **more}
    with Path(os.environ[NOTES]).open("a", encoding="ascii") as file:
        file.write(json.dumps(line) + "\n")


async def write(function: Any, *arguments: Any) -> Any:
    if function not in COMMITS:
        return await write_untimed(function, *arguments)

    @wraps(function)
    def timed(*given: Any) -> Any:
        begin_seconds, begin, cpu_before = time.time(), time.perf_counter(), time.thread_time()
        try:
            return function(*given)
        finally:
            note("commit", begin_seconds, begin, cpu_seconds=time.thread_time() - cpu_before)

    return await write_untimed(timed, *arguments)


async def collect_once(vault: Vault) -> None:
    begin_seconds, begin = time.time(), time.perf_counter()
    try:
        await collect_untimed(vault)
    finally:
        state = vault.collections.state()
        counts = {"dropped": state.records_dropped, "moved": state.containers_moved, "copied": state.bytes_moved}
        note("collection", begin_seconds, begin, **counts)
        vault.collections.ask(is_trial=False)


async def resume_and_ask(vault: Vault) -> None:
    """The first collection begins with the daemon, when the moves of one that was stopped are done: these are noted as
    a collection too, and not counted.
    """
    begin_seconds, begin = time.time(), time.perf_counter()
    try:
        await resume_moves(vault)
    finally:
        note("collection", begin_seconds, begin, dropped=0, moved=0, copied=0)
    vault.collections.ask(is_trial=False)


if __name__ == "__main__":
    expiry.PASS_SECONDS = 1
    offload.write = write
    if os.environ.get(COLLECTS) == "1":
        collection.LOOK_SECONDS = 0.02
        collection.collect_once = collect_once
        collection.resume_moves = resume_and_ask
    main()
