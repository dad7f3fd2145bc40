"""Safesets of a job, by timeline and number, and by root hash."""

from collections.abc import Iterator

from vaultd.catalog.database import View
from vaultd.catalog.rows import decode, number_key, put, read
from vaultd.records import Change, Job, Safeset


def save_safeset(account_id: bytes, safeset: Safeset) -> list[Change]:
    place = place_of(safeset.timeline, safeset.sequence)
    return [
        put("safesets", safeset_key(account_id, safeset), safeset),
        ("safeset_hashes", account_id + safeset.job_id + safeset.root_hash, place),
    ]


def safeset_key(account_id: bytes, safeset: Safeset) -> bytes:
    """Of its row, and of what other tables say of it."""
    return account_id + safeset.job_id + place_of(safeset.timeline, safeset.sequence)


def read_safeset(view: View, job: Job, sequence: int) -> Safeset | None:
    """On the job's timeline."""
    return read(view, "safesets", job.account_id + job.job_id + place_of(job.timeline, sequence), Safeset)


def safeset_at(view: View, account_id: bytes, job_id: bytes, place: bytes) -> Safeset | None:
    return read(view, "safesets", account_id + job_id + place, Safeset)


def find_safeset(view: View, account_id: bytes, job_id: bytes, root_hash: bytes) -> Safeset | None:
    place = view.get("safeset_hashes", account_id + job_id + root_hash)
    return None if place is None else read(view, "safesets", account_id + job_id + place, Safeset)


def list_safesets(view: View, account_id: bytes, job_id: bytes, after: bytes = b"") -> Iterator[Safeset]:
    """In the order of their numbers; those behind a place, if one is given."""
    for key, value in view.scan("safesets", account_id + job_id, after and after + b"\0"):
        yield decode("safesets", key, value, Safeset)


def safesets_after(view: View, job: Job, sequence: int) -> Iterator[Safeset]:
    """Those of the job's timeline with higher numbers, in order."""
    timeline = job.account_id + job.job_id + job.timeline.to_bytes(4, "big")
    for key, value in view.scan("safesets", timeline, number_key(sequence + 1)):
        yield decode("safesets", key, value, Safeset)


def place_of(timeline: int, sequence: int) -> bytes:
    """After a promotion two timelines may hold the same number; keys sort by timeline first."""
    return timeline.to_bytes(4, "big") + number_key(sequence)
