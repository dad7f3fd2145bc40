"""Whose safesets miss something after a rebuild that found damage: by account, computer and job, as the check names
them. From their lists of what they use, without keys; what safesets of a job share is read once.
"""

from collections.abc import Iterator, Sequence

from vaultd.catalog.accounts import list_accounts
from vaultd.catalog.database import View
from vaultd.catalog.jobs import list_jobs
from vaultd.catalog.safesets import list_safesets
from vaultd.errors import VaultError
from vaultd.operations.job_place import job_place
from vaultd.operations.root_format import parse_root
from vaultd.operations.safesets import tree_of
from vaultd.operations.standing import is_live
from vaultd.operations.tree_walk import Records, TreeWalk
from vaultd.records import Job, Safeset
from vaultd.store.errors import StoreError
from vaultd.store.findings import Finding, Severity


def find_hits(view: View, records: Records, severity: Severity) -> Iterator[Finding]:
    """One for each job that is hit. A catalog that stays and has a damaged row ends the list and not the rebuild."""
    try:
        for account in list_accounts(view):
            for job in list_jobs(view, account.account_id):
                yield from _of_job(view, records, job, severity)
    except VaultError as error:
        yield Finding(severity, "catalog", f"which jobs are hit beyond that cannot be told: {error}")


def _of_job(view: View, records: Records, job: Job, severity: Severity) -> Iterator[Finding]:
    whole: set[bytes] = set()
    hit = []
    for safeset in list_safesets(view, job.account_id, job.job_id):
        if is_live(view, job, safeset) and not _is_whole(records, safeset, whole):
            hit.append(safeset.sequence)
    if not hit:
        return
    place = f"{job_place(view, job)}, {'safeset' if len(hit) == 1 else 'safesets'} {_spans(hit)}"
    what = f"records that {'it uses' if len(hit) == 1 else 'they use'} are missing or damaged"
    if records.lacks_rows:
        yield Finding(Severity.warning, place, f"{what}, or lie on a disk that is offline")
    else:
        yield Finding(severity, place, f"{what}: `vaultd check` names them")


def _is_whole(records: Records, safeset: Safeset, whole: set[bytes]) -> bool:
    """`whole` collects the companions of trees without a gap."""
    try:
        tree = tree_of(parse_root(safeset.root))
        walk = TreeWalk(records, tree, whole)
        if any(records.missing(tree.keyring_id, [safeset.payload_id])) or walk.run().missing:
            return False
    except (StoreError, VaultError, OSError):  # a companion is on a disk that is away, or refused
        return False
    whole |= walk.seen
    return True


def _spans(numbers: Sequence[int]) -> str:
    """Ascending ones, as 1-3, 7."""
    stretches: list[list[int]] = []
    for number in numbers:
        if stretches and stretches[-1][-1] == number - 1:
            stretches[-1][1:] = [number]
        else:
            stretches.append([number])
    return ", ".join("-".join(map(str, stretch)) for stretch in stretches)
