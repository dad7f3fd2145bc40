"""Whether a job that the vault shows is one that this agent's creator signed, as he signed it.

A vault could else read out what its operator wants: other paths, or a whole job with a password that he knows.
"""

from protocol.messages import AgentJob
from tools.agent.state import Identity, StateDirectory
from tools.client.creator_key import creator_fingerprint
from tools.client.failure import Failure
from tools.client.fingerprint import fingerprint_text
from tools.client.job_definition import JobAddress, RevisedJob, is_definition_signed
from tools.client.job_options import check_options


def check_job(state: StateDirectory, identity: Identity, job: AgentJob) -> None:
    """Remembers the revision. The caller has neither read a file nor told the vault anything of the job."""
    check_signature(identity, job)
    check_options(job.name, job.definition.options)
    job_state = state.job(job.job_id)
    known_revision = job_state.load_revision()
    if job.revision < known_revision:
        raise Failure(
            "damaged",
            f"the vault shows revision {job.revision} of job {job.name!r}, this agent knows revision {known_revision}",
            "nothing was read or sent: the vault went back in time, ask its operator",
        )
    if job.revision > known_revision:
        job_state.save_revision(job.revision)


def check_signature(identity: Identity, job: AgentJob) -> None:
    creator = fingerprint_text(creator_fingerprint(job.creator_key))
    if creator != identity.creator:
        raise Failure(
            "not_allowed",
            f"job {job.name!r} was created with the key {creator}, this agent takes jobs of {identity.creator} only",
            "nothing was read or sent: create the job with the context whose code registered this computer, or"
            " register it anew; if nobody of yours created this job, ask the vault's operator",
        )
    revised = RevisedJob(job_address(identity, job.job_id), job.revision, job.name, job.definition)
    if not is_definition_signed(revised, job.creator_key, job.signature):
        raise Failure(
            "damaged",
            f"the vault shows job {job.name!r} otherwise than its creator signed it",
            "nothing was read or sent: compare with `vaultctl job show`, ask the vault's operator, or create the"
            " job anew under another name",
        )


def job_address(identity: Identity, job_id: bytes) -> JobAddress:
    """The ids are those of the registration, whatever the vault says today."""
    return JobAddress(bytes.fromhex(identity.account_id), bytes.fromhex(identity.computer_id), job_id)
