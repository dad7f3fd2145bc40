"""What a mark begins with: the live safesets of a keyring, and its run keys whose runs have ended, page by page.

Each page has a view of its own. What is committed after the mark began waits at the barrier; what was purged or
replaced never lives again; and which runs go on, and what is read under tickets, is asked anew with each page, so what
one of them holds is live in the page that has it. Threads: any, one page at a time.
"""

from collections.abc import Iterator
from itertools import islice

from vaultd.catalog.database import View
from vaultd.catalog.jobs import read_job
from vaultd.catalog.keyrings import list_run_keys
from vaultd.catalog.rows import decode
from vaultd.catalog.runs import list_active_runs, read_run
from vaultd.operations.standing import is_live
from vaultd.operations.vault import Vault
from vaultd.records import Outcome, Run, Safeset

ROWS_AT_ONCE = 1_000


def active_runs(view: View, account_id: bytes, keyring_id: bytes) -> Iterator[Run]:
    return (run for run in list_active_runs(view, account_id) if run.keyring_id == keyring_id)


def live_safesets(vault: Vault, account_id: bytes, keyring_id: bytes) -> Iterator[list[Safeset]]:
    """Of all jobs of the account. What a run that goes on builds upon, and what a restore that goes on reads, is live
    whatever became of it.
    """
    start: bytes | None = b""
    while start is not None:
        with vault.catalog.read() as view:
            rows = list(islice(view.scan("safesets", account_id, start), ROWS_AT_ONCE))
            bases = {(run.job_id, run.base) for run in active_runs(view, account_id, keyring_id)}
            read = vault.tickets.safesets()
            found = []
            for key, value in rows:
                safeset = decode("safesets", key, value, Safeset)
                if safeset.keyring_id != keyring_id:
                    continue
                job = read_job(view, account_id, safeset.job_id)
                is_used = (safeset.job_id, safeset.root_hash) in bases or key in read
                if is_used or job is None or is_live(view, job, safeset):
                    found.append(safeset)
        start = _behind(rows[-1][0], account_id) if len(rows) == ROWS_AT_ONCE else None
        yield found


def keys_of_ended_runs(vault: Vault, account_id: bytes, keyring_id: bytes) -> Iterator[list[bytes]]:
    start: bytes | None = b""
    while start is not None:
        with vault.catalog.read() as view:
            keys = list(islice(list_run_keys(view, account_id, keyring_id, start), ROWS_AT_ONCE))
            runs = [read_run(view, account_id, key.run_id) for key in keys]
        start = keys[-1].key_id + b"\0" if len(keys) == ROWS_AT_ONCE else None
        yield [
            key.key_id
            for key, run in zip(keys, runs, strict=True)
            if run is not None and run.outcome is not Outcome.RUNNING
        ]


def _behind(key: bytes, prefix: bytes) -> bytes:
    """What comes first after the key, without the prefix."""
    return key[len(prefix) :] + b"\0"
