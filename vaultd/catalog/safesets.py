"""Safesets of a job, by number and by root hash."""

from collections.abc import Iterator

from vaultd.catalog.database import View
from vaultd.catalog.rows import decode, number_key, put, read
from vaultd.records import Change, Safeset


def save_safeset(account_id: bytes, safeset: Safeset) -> list[Change]:
    job_key = account_id + safeset.job_id
    number = number_key(safeset.sequence)
    return [
        put("safesets", job_key + number, safeset),
        ("safeset_hashes", job_key + safeset.root_hash, number),
    ]


def read_safeset(view: View, account_id: bytes, job_id: bytes, sequence: int) -> Safeset | None:
    return read(view, "safesets", account_id + job_id + number_key(sequence), Safeset)


def find_safeset(view: View, account_id: bytes, job_id: bytes, root_hash: bytes) -> Safeset | None:
    number = view.get("safeset_hashes", account_id + job_id + root_hash)
    return None if number is None else read(view, "safesets", account_id + job_id + number, Safeset)


def list_safesets(view: View, account_id: bytes, job_id: bytes) -> Iterator[Safeset]:
    """In the order of their numbers."""
    for key, value in view.scan("safesets", account_id + job_id):
        yield decode("safesets", key, value, Safeset)
