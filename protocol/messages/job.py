"""Jobs: what of a computer is backed up, and what the agent is told about its own."""

from typing import Annotated, Literal

from msgspec import Meta

from protocol.limits import LIST_ITEMS_MAX, PATTERNS_MAX
from protocol.messages import fields
from protocol.messages.fields import Message
from protocol.messages.keyring import KeyringJoin
from protocol.messages.run import RunProgress, RunSummary


class JobDefinition(Message, frozen=True):
    include: Annotated[list[fields.Path], Meta(min_length=1, max_length=PATTERNS_MAX)]
    exclude: Annotated[list[fields.Text], Meta(max_length=PATTERNS_MAX)]
    one_file_system: bool
    schedule: fields.Text
    retention: fields.Text
    suite: Annotated[int, Meta(ge=1, le=2)]
    compression: Annotated[int, Meta(ge=0, le=9)]
    both_sites: bool
    options: fields.Options


class JobSummary(Message, frozen=True):
    job_id: fields.Id
    computer: fields.Name
    name: fields.Name
    definition: JobDefinition
    created_ns: fields.Nanoseconds
    keyring_ready: bool
    head_sequence: fields.Count
    last_run_ns: fields.Nanoseconds | None
    last_outcome: fields.Text
    run_requested: bool
    removed_ns: fields.Nanoseconds | None
    frozen: fields.Text = ""


class JobCreateRequest(Message, frozen=True):
    job_id: fields.Id
    computer: fields.Name
    name: fields.Name
    definition: JobDefinition
    revision: fields.Revision
    creator_key: fields.SigningKey
    signature: fields.Signature
    secret: fields.Secret
    keyring: KeyringJoin | None = None


class JobCreateAnswer(Message, frozen=True):
    job_id: fields.Id


class JobListRequest(Message, frozen=True):
    computer: fields.Name


class JobListAnswer(Message, frozen=True):
    jobs: Annotated[list[JobSummary], Meta(max_length=LIST_ITEMS_MAX)]


class JobShowRequest(Message, frozen=True):
    computer: fields.Name
    job: fields.Name


class JobShowAnswer(Message, frozen=True):
    job: JobSummary
    runs: Annotated[list[RunSummary], Meta(max_length=LIST_ITEMS_MAX)]


class JobRunRequest(Message, frozen=True):
    computer: fields.Name
    job: fields.Name


class JobRunAnswer(Message, frozen=True):
    request: fields.Count


class JobRequestRequest(Message, frozen=True):
    computer: fields.Name
    job: fields.Name
    request: fields.Count


class JobRequestAnswer(Message, frozen=True):
    state: Literal["waiting", "running", "done", "failed", "aborted"]
    run: RunSummary | None
    progress: RunProgress | None


class JobCancelRequest(Message, frozen=True):
    computer: fields.Name
    job: fields.Name


class JobCancelAnswer(Message, frozen=True):
    """Which of the two there was: a request that waited, a run that went on."""

    request: bool
    run: bool


class JobRemoveRequest(Message, frozen=True):
    computer: fields.Name
    job: fields.Name


class JobRemoveAnswer(Message, frozen=True):
    removed_ns: fields.Nanoseconds


class AgentJob(Message, frozen=True):
    """`secret_lost`: why a secret that the vault keeps for the agent is not here."""

    job_id: fields.Id
    name: fields.Name
    definition: JobDefinition
    revision: fields.Revision
    creator_key: fields.SigningKey
    signature: fields.Signature
    secret: fields.Secret | None
    keyring_id: fields.Id | None
    head_sequence: fields.Count
    head_hash: fields.Hash
    timeline: fields.Count
    run_requested: bool
    secret_lost: fields.SecretLoss | None = None


class AgentJobsRequest(Message, frozen=True):
    pass


class AgentJobsAnswer(Message, frozen=True):
    jobs: Annotated[list[AgentJob], Meta(max_length=LIST_ITEMS_MAX)]


class AgentWorkRequest(Message, frozen=True):
    """`all`: answer at once with every request that waits, also those that were told before."""

    all: bool


class AgentWorkAnswer(Message, frozen=True):
    """Jobs to run, jobs and restore orders of which nothing is to go on, and orders to carry out; all empty where there
    was nothing for some minutes.
    """

    run: Annotated[list[fields.Id], Meta(max_length=LIST_ITEMS_MAX)]
    cancel: Annotated[list[fields.Id], Meta(max_length=LIST_ITEMS_MAX)]
    restore: Annotated[list[fields.Id], Meta(max_length=LIST_ITEMS_MAX)]
