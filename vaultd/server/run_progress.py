"""How far the runs are that go on, as their agents told last. In memory only: after a restart the next report sets it.
A second book of this kind is of the restores that were ordered: each is its own job and run there.

Invariants: at most one entry for each job, because a job has one run at a time. It goes when that run ends, when
another one begins, and with the connection that told it; one that was told while its run ended is found by nobody.
Jobs stand for their accounts: no two share an id.
Threads: the event loop only.
"""

from dataclasses import dataclass

from protocol import messages as m
from vaultd.server.session import Session


@dataclass(frozen=True, slots=True)
class Told:
    run_id: bytes
    session: Session
    progress: m.RunProgress


class RunProgressBook:
    def __init__(self) -> None:
        self._by_job: dict[bytes, Told] = {}

    def __len__(self) -> int:
        return len(self._by_job)

    def tell(self, job_id: bytes, told: Told) -> None:
        self._by_job[job_id] = told

    def find(self, job_id: bytes, run_id: bytes) -> m.RunProgress | None:
        told = self._by_job.get(job_id)
        return told.progress if told is not None and told.run_id == run_id else None

    def told_jobs(self) -> set[bytes]:
        return set(self._by_job)

    def forget_job(self, job_id: bytes) -> None:
        self._by_job.pop(job_id, None)

    def forget_connection(self, session: Session) -> None:
        for job_id in [job_id for job_id, told in self._by_job.items() if told.session is session]:
            del self._by_job[job_id]
