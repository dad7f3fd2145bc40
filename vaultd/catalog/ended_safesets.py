"""Safesets that are not kept any more: expired, deleted by an administrator, or purged. Their own rows stay."""

from collections.abc import Iterator

from vaultd.catalog.database import View
from vaultd.catalog.rows import decode, put, read
from vaultd.catalog.safesets import safeset_key
from vaultd.records import Change, EndedSafeset, Safeset


def save_ended(account_id: bytes, safeset: Safeset, ended: EndedSafeset) -> list[Change]:
    return [put("ended_safesets", safeset_key(account_id, safeset), ended)]


def remove_ended(account_id: bytes, safeset: Safeset) -> list[Change]:
    return [("ended_safesets", safeset_key(account_id, safeset), None)]


def read_ended(view: View, account_id: bytes, safeset: Safeset) -> EndedSafeset | None:
    return read(view, "ended_safesets", safeset_key(account_id, safeset), EndedSafeset)


def list_ended(view: View, account_id: bytes, job_id: bytes) -> Iterator[tuple[bytes, EndedSafeset]]:
    """With their places, in the order of their numbers."""
    prefix = account_id + job_id
    for key, value in view.scan("ended_safesets", prefix):
        yield key[len(prefix) :], decode("ended_safesets", key, value, EndedSafeset)
