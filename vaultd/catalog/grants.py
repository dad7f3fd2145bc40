"""Grants: leave for a computer to restore one job of another one. At most one for each job and computer."""

from collections.abc import Iterator

from vaultd.catalog.database import View
from vaultd.catalog.rows import decode, put, read
from vaultd.records import NO_ID, Change, Grant


def save_grant(account_id: bytes, grant: Grant) -> list[Change]:
    return [put("grants", account_id + grant.job_id + grant.computer_id, grant)]


def remove_grant(account_id: bytes, job_id: bytes, computer_id: bytes) -> list[Change]:
    return [("grants", account_id + job_id + computer_id, None)]


def read_grant(view: View, account_id: bytes, job_id: bytes, computer_id: bytes) -> Grant | None:
    return read(view, "grants", account_id + job_id + computer_id, Grant)


def list_granted(view: View, account_id: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(job id, computer id), from the keys alone: also of grants whose rows do not decode."""
    for key, _ in view.scan("grants", account_id):
        yield key[len(NO_ID) : 2 * len(NO_ID)], key[2 * len(NO_ID) :]


def list_grants(view: View, account_id: bytes) -> Iterator[Grant]:
    for key, value in view.scan("grants", account_id):
        yield decode("grants", key, value, Grant)
