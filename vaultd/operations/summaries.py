"""What people are shown of computers, jobs, runs and safesets. The field names are those of the wire's messages."""

from collections.abc import Set

import msgspec

from vaultd.catalog.computers import read_computer
from vaultd.catalog.damaged_safesets import is_damaged
from vaultd.catalog.database import View
from vaultd.catalog.freezes import read_freeze
from vaultd.catalog.jobs import list_computer_jobs
from vaultd.catalog.pins import read_pin
from vaultd.catalog.runs import list_runs_back, read_run
from vaultd.operations.root_format import parse_root
from vaultd.operations.sealed_headers import agent_key_fingerprint, fingerprint_text
from vaultd.operations.standing import standing_sequence
from vaultd.policy.provisional import newest_sequence
from vaultd.records import NO_ID, Computer, Job, JobDefinition, Run, Safeset


class AccountSummary(msgspec.Struct, frozen=True, kw_only=True):
    account_id: bytes
    name: str
    created_ns: int
    packages: int
    computers: int
    jobs: int
    safesets: int
    protected_bytes: int


class ComputerSummary(msgspec.Struct, frozen=True, kw_only=True):
    """`jobs` counts removed ones too; `removed_ns` is 0 while it is not removed."""

    computer_id: bytes
    name: str
    kind: str
    registered_ns: int
    last_seen_ns: int
    agent_key: str
    jobs: int
    removed_ns: int


class JobSummary(msgspec.Struct, frozen=True, kw_only=True):
    """`head_sequence` is the newest complete safeset, a provisional one only while there is none. `last_run_ns` is the
    begin of the newest run, 0 before the first; `last_outcome` is then empty. `removed_ns` is 0 while it takes runs.
    `frozen` is why nothing of it ends, empty where it is not frozen.
    """

    job_id: bytes
    computer: str
    name: str
    definition: JobDefinition
    created_ns: int
    keyring_ready: bool
    head_sequence: int
    last_run_ns: int
    last_outcome: str
    run_requested: bool
    removed_ns: int
    frozen: str = ""


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """`sequence` is the newest safeset that it made, 0 where it made none, or a provisional one that was replaced."""

    run_id: bytes
    begin_ns: int
    end_ns: int
    outcome: str
    files: int
    new_chunks: int
    new_bytes: int
    warnings: int
    sequence: int


class SafesetSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Dates are nil as long as the thing has not happened. `in_doubt`: whether it is damaged is being looked for.
    `pinned`: why; empty where it is not.
    """

    number: int
    time_ns: int
    complete: bool
    files: int
    protected_bytes: int
    new_bytes: int
    retention: str
    stored_at_ns: int
    replicated_at_ns: int | None
    verified_at_ns: int | None
    restore_tested_at_ns: int | None
    damaged: bool
    root_hash: bytes
    distrusted: bool = False
    in_doubt: bool = False
    pinned: str = ""


def summarise_computer(view: View, computer: Computer) -> ComputerSummary:
    return ComputerSummary(
        computer_id=computer.computer_id,
        name=computer.name,
        kind=computer.kind,
        registered_ns=computer.registered_ns,
        last_seen_ns=computer.last_seen_ns,
        agent_key=fingerprint_text(agent_key_fingerprint(computer.tls_key, computer.sealing_key)),
        jobs=sum(1 for _ in list_computer_jobs(view, computer.account_id, computer.computer_id)),
        removed_ns=computer.removed_ns,
    )


def summarise_job(view: View, job: Job) -> JobSummary:
    computer = read_computer(view, job.account_id, job.computer_id)
    newest = next(list_runs_back(view, job.account_id, job.job_id), None)
    freeze = read_freeze(view, job.account_id, job.job_id)
    return JobSummary(
        job_id=job.job_id,
        computer="" if computer is None else computer.name,
        name=job.name,
        definition=job.definition,
        created_ns=job.created_ns,
        keyring_ready=job.keyring_id != NO_ID,
        head_sequence=newest_sequence(job),
        last_run_ns=0 if newest is None else newest.begin_ns,
        last_outcome="" if newest is None else newest.outcome.value,
        run_requested=job.request > job.requests_taken and not job.removed_ns,
        removed_ns=job.removed_ns,
        frozen=freeze.reason if freeze is not None and freeze.is_on else "",
    )


def summarise_run(view: View, job: Job, run: Run) -> RunSummary:
    return RunSummary(
        run_id=run.run_id,
        begin_ns=run.begin_ns,
        end_ns=run.end_ns,
        outcome=run.outcome.value,
        files=run.figures.files,
        new_chunks=run.figures.new_chunks,
        new_bytes=run.figures.new_bytes,
        warnings=run.figures.warnings,
        sequence=standing_sequence(view, job, run),
    )


def summarise_safeset(view: View, account_id: bytes, safeset: Safeset, distrusted: Set[bytes]) -> SafesetSummary:
    """`distrusted`: ids of keys of its keyring."""
    root = parse_root(safeset.root)
    run = read_run(view, account_id, safeset.run_id) if distrusted else None
    pin = read_pin(view, account_id, safeset)
    return SafesetSummary(
        number=safeset.sequence,
        time_ns=root.agent_time_ns,
        complete=root.complete,
        files=root.files,
        protected_bytes=root.protected_bytes,
        new_bytes=root.new_bytes,
        retention=safeset.retention,
        stored_at_ns=safeset.stored_at_ns,
        replicated_at_ns=None,
        verified_at_ns=None,
        restore_tested_at_ns=None,
        damaged=is_damaged(view, account_id, safeset),
        root_hash=safeset.root_hash,
        distrusted=run is not None and not distrusted.isdisjoint(run.key_ids),
        pinned="" if pin is None else pin.reason,
    )
