"""Jobs of an account, their one-time secrets, and who owns an id that must be unique in the whole vault.

Ids of jobs, keyrings and slots come from outside and name erase keys and index rows of the whole vault, so the table
`owners` refuses one twice.
"""

from collections.abc import Iterator

from vaultd.catalog.database import View
from vaultd.catalog.rows import decode, name_key, put, read
from vaultd.records import Change, Job


def save_job(job: Job) -> list[Change]:
    return [
        put("jobs", job.account_id + job.job_id, job),
        ("job_names", job.account_id + job.computer_id + name_key(job.name), job.job_id),
        ("owners", job.job_id, job.account_id),
    ]


def update_job(job: Job) -> list[Change]:
    """For a job whose name stays."""
    return [put("jobs", job.account_id + job.job_id, job)]


def read_job(view: View, account_id: bytes, job_id: bytes) -> Job | None:
    return read(view, "jobs", account_id + job_id, Job)


def find_job(view: View, account_id: bytes, computer_id: bytes, name: str) -> Job | None:
    job_id = view.get("job_names", account_id + computer_id + name_key(name))
    return None if job_id is None else read_job(view, account_id, job_id)


def list_jobs(view: View, account_id: bytes) -> Iterator[Job]:
    """Every job of the account."""
    for key, value in view.scan("jobs", account_id):
        yield decode("jobs", key, value, Job)


def job_keys_after(view: View, after: bytes) -> Iterator[bytes]:
    """Of all accounts, behind a key: account id and job id."""
    for key, _ in view.scan("jobs", b"", after and after + b"\0"):
        yield key


def list_computer_jobs(view: View, account_id: bytes, computer_id: bytes) -> Iterator[Job]:
    for _, job_id in view.scan("job_names", account_id + computer_id):
        job = read_job(view, account_id, job_id)
        if job is not None:
            yield job


def save_secret(job: Job, wrapped: bytes) -> list[Change]:
    return [("job_secrets", job.account_id + job.job_id, wrapped)]


def remove_secret(job: Job) -> list[Change]:
    return [("job_secrets", job.account_id + job.job_id, None)]


def read_secret(view: View, job: Job) -> bytes | None:
    return view.get("job_secrets", job.account_id + job.job_id)


def owner_of(view: View, id_: bytes) -> bytes | None:
    """The account."""
    return view.get("owners", id_)


def is_owned(view: View, id_: bytes) -> bool:
    return owner_of(view, id_) is not None
