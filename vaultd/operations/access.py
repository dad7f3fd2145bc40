"""Finding what a caller names, within what the caller owns. A refusal repeats what was asked for and nothing else."""

from vaultd.catalog.computers import find_computer, read_computer, tls_key_hash
from vaultd.catalog.database import View
from vaultd.catalog.jobs import find_job, read_job
from vaultd.catalog.runs import read_run
from vaultd.errors import Conflict, NotFound, NotSignedIn
from vaultd.records import NO_ID, AgentIdentity, Computer, Identity, Job, Outcome, Role, Run

KEPT_HINT = "its safesets are kept and can be restored with its password"


def named_computer(view: View, identity: Identity, name: str) -> Computer:
    if identity.role is Role.AGENT:
        own_computer(view, identity)
    computer = find_computer(view, identity.account_id, name)
    if computer is None:
        who = "an administrator sees" if identity.role is Role.AGENT else "see"
        raise NotFound(
            f"computer {name!r} does not exist", f"{who} the account's computers with `vaultctl computer list`"
        )
    return computer


def working_computer(view: View, identity: Identity, name: str) -> Computer:
    computer = named_computer(view, identity, name)
    if computer.removed_ns:
        raise Conflict(f"computer {computer.name!r} was removed", "restore its safesets on another one, under a grant")
    return computer


def own_computer(view: View, identity: Identity) -> Computer:
    """The computer that an agent runs on. One whose place another agent took is nobody any more, on connections that it
    has open too.
    """
    computer = read_computer(view, identity.account_id, identity.computer_id)
    if computer is not None and computer.removed_ns:
        raise removed_computer()
    return _check_key(identity, computer)


def _check_key(identity: Identity, computer: Computer | None) -> Computer:
    """Of an agent whose connection may be older than the one that took its place."""
    if computer is None or not isinstance(identity, AgentIdentity):
        raise NotSignedIn("this agent is not registered any more", "register it again with a new code")
    if identity.agent_key != tls_key_hash(computer.tls_key):
        raise replaced_agent()
    return computer


def replaced_agent() -> NotSignedIn:
    return NotSignedIn(
        "another agent took the place of this one: its key is refused from then on",
        "if that was a mistake, ask the account's administrator; this computer needs a new code and state directory",
    )


def removed_computer() -> NotSignedIn:
    """Told to its own agent, by its key."""
    return NotSignedIn(
        "this computer was removed",
        "its safesets are kept: restore them on another computer of the account under a grant, or register this one"
        " anew with an empty state directory",
    )


def named_job(view: View, computer: Computer, name: str, asking: Identity | None = None) -> Job:
    """An agent that is asking for a job of its own computer knows more of what was meant: it gets no hint."""
    job = find_job(view, computer.account_id, computer.computer_id, name)
    if job is None:
        is_own = asking is not None and asking.role is Role.AGENT and asking.computer_id == computer.computer_id
        hint = f"its administrator sees the jobs with `vaultctl job list {computer.name}`"
        raise NotFound(f"job {name!r} does not exist on computer {computer.name!r}", "" if is_own else hint)
    return job


def own_job(view: View, identity: Identity, job_id: bytes) -> Job:
    """A job of the agent's own computer."""
    _check_key(identity, read_computer(view, identity.account_id, identity.computer_id))
    job = read_job(view, identity.account_id, job_id)
    if job is None or job.computer_id != identity.computer_id:
        raise NotFound(f"job {job_id.hex()} does not exist")
    return working_job(view, job)


def working_job(view: View, job: Job) -> Job:
    """One that was removed takes no run; it is restored all the same."""
    if not job.removed_ns:
        return job
    computer = read_computer(view, job.account_id, job.computer_id)
    if computer is not None and computer.removed_ns:
        raise NotFound(f"job {job.name!r} was removed with its computer", KEPT_HINT)
    raise NotFound(f"job {job.name!r} was removed", KEPT_HINT)


def job_with_keyring(job: Job) -> Job:
    if job.keyring_id == NO_ID:
        raise Conflict(f"job {job.name!r} has no keyring yet", "the agent makes it before its first run")
    return job


def job_with_safesets(job: Job) -> Job:
    """For a restore: without a keyring there is none."""
    if job.keyring_id == NO_ID:
        raise no_safeset(job)
    return job


def no_safeset(job: Job) -> NotFound:
    if job.removed_ns:
        return NotFound(f"job {job.name!r} has no safeset", "it was removed before its first run had made one")
    return NotFound(f"job {job.name!r} has no safeset yet", "its first run makes one")


def own_run(view: View, identity: Identity, run_id: bytes) -> tuple[Run, Job]:
    """A run of the agent's own computer, and its job."""
    _check_key(identity, read_computer(view, identity.account_id, identity.computer_id))
    run = read_run(view, identity.account_id, run_id)
    job = None if run is None else read_job(view, identity.account_id, run.job_id)
    if run is None or job is None or job.computer_id != identity.computer_id:
        raise NotFound(f"run {run_id.hex()} does not exist")
    return run, working_job(view, job)


def active_run(view: View, identity: Identity, run_id: bytes) -> tuple[Run, Job]:
    run, job = own_run(view, identity, run_id)
    if run.outcome is not Outcome.RUNNING:
        raise Conflict(f"run {run_id.hex()} of job {job.name!r} has ended as {run.outcome.value}", _ended_hint(run))
    return run, job


def _ended_hint(run: Run) -> str:
    if run.outcome is Outcome.ABORTED:
        return "it was cancelled at the vault, or another run or other keys took its place: a new run goes on with it"
    return "begin a new run"


def running_run(view: View, identity: Identity, run_id: bytes) -> Run:
    """For what nobody asks of a run that has ended: that one is then like one that does not exist."""
    run, _ = own_run(view, identity, run_id)
    if run.outcome is not Outcome.RUNNING:
        raise NotFound(f"run {run_id.hex()} does not exist")
    return run
