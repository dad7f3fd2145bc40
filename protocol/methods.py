"""The registry: every method of the conversation, who may call it, what it takes, gives, and does when repeated.

docs/protocol.md shows this table; a test compares the two.
"""

from enum import StrEnum

import msgspec

from protocol import limits
from protocol import messages as m
from protocol.errors import ErrorCode as E
from protocol.framing import REFUSED_LIMITS, FrameLimits


class Role(StrEnum):
    """Who may call. The first four are also what a connection can be after `hello`."""

    open = "open"
    operator = "operator"
    administrator = "administrator"
    agent = "agent"
    account = "account"  # administrator or agent, each inside its own account

    def allows(self, caller: "Role") -> bool:
        """Whether a connection that is `caller` may use a method of this role."""
        return caller in _CALLERS[self]


_SIGNED_IN = frozenset({Role.operator, Role.administrator, Role.agent})
_CALLERS: dict[Role, frozenset[Role]] = {
    Role.open: _SIGNED_IN | {Role.open},
    Role.operator: frozenset({Role.operator}),
    Role.administrator: frozenset({Role.administrator}),
    Role.agent: frozenset({Role.agent}),
    Role.account: frozenset({Role.administrator, Role.agent}),
}


class Direction(StrEnum):
    ask = "ask"  # one frame there, one back
    upload = "upload"  # many frames there, answers while they come
    download = "download"  # one frame there, many back


# Every method may answer these; all but the open ones also not_signed_in and not_allowed.
COMMON_ERRORS = (E.bad_request, E.too_large, E.unavailable, E.internal)
SIGN_IN_ERRORS = (E.not_signed_in, E.not_allowed)


class Method(msgspec.Struct, frozen=True):
    name: str
    role: Role
    request: type[msgspec.Struct]
    answer: type[msgspec.Struct]
    errors: tuple[E, ...]  # beside the common ones
    repeat: str  # what a repeated call does
    raw: str = ""  # the raw bytes beside request and answer
    direction: Direction = Direction.ask
    header_bytes_max: int = limits.SMALL_HEADER_BYTES_MAX  # of a frame of the request
    raw_bytes_max: int = 0

    @property
    def limits(self) -> FrameLimits:
        return FrameLimits(self.header_bytes_max, self.raw_bytes_max, self.name)


# A request of the first method that arrives while one of the second is under way on its connection is taken after it,
# but for the end of a run that did not end well: it waits for no root.
FOLLOWS = {"run.key": "run.begin", "run.end": "safeset.commit"}

_READS = "reads only"

_TABLE = (
    Method("hello", Role.open, m.HelloRequest, m.HelloAnswer,
           (E.unsupported_version, E.not_signed_in, E.throttled, E.conflict), "conflict: once per connection",
           header_bytes_max=limits.OPEN_HEADER_BYTES_MAX),
    Method("authority", Role.open, m.AuthorityRequest, m.AuthorityAnswer, (), _READS),
    Method("register", Role.open, m.RegisterRequest, m.RegisterAnswer,
           (E.not_allowed, E.conflict, E.throttled),
           "the same request: the same answer; else not_allowed: a code is used once",
           header_bytes_max=limits.OPEN_HEADER_BYTES_MAX),
    Method("account.create", Role.operator, m.AccountCreateRequest, m.AccountCreateAnswer,
           (E.conflict, E.no_space), "conflict: the name is taken"),
    Method("account.list", Role.operator, m.AccountListRequest, m.AccountListAnswer, (), _READS),
    Method("account.show", Role.operator, m.AccountShowRequest, m.AccountShowAnswer, (E.not_found,), _READS),
    Method("vault.status", Role.operator, m.VaultStatusRequest, m.VaultStatus, (), _READS),
    Method("clock.accept", Role.operator, m.ClockAcceptRequest, m.ClockAcceptAnswer,
           (E.conflict, E.no_space), "conflict: the clock is not doubted"),
    Method("collection.start", Role.operator, m.CollectionStartRequest, m.CollectionStartAnswer,
           (), "the number of the one that waits already; once that began another one"),
    Method("collection.state", Role.operator, m.CollectionStateRequest, m.CollectionStateAnswer, (), _READS),
    Method("disk.list", Role.operator, m.DiskListRequest, m.DiskListAnswer, (), _READS),
    Method("disk.hit", Role.operator, m.DiskHitRequest, m.DiskHitAnswer, (E.not_found, E.conflict), _READS),
    Method("disk.lost", Role.operator, m.DiskLostRequest, m.DiskLostAnswer,
           (E.not_found, E.conflict, E.no_space), "the same answer, nothing changes"),
    Method("scrub.begin", Role.operator, m.ScrubBeginRequest, m.ScrubBeginAnswer,
           (E.no_space,), "while the pass that was asked for goes on: its number"),
    Method("scrub.state", Role.operator, m.ScrubStateRequest, m.ScrubStateAnswer, (), _READS),
    Method("scrub.hit", Role.operator, m.ScrubHitRequest, m.ScrubHitAnswer, (), _READS),
    Method("computer.invite", Role.administrator, m.ComputerInviteRequest, m.ComputerInviteAnswer,
           (E.not_found, E.throttled, E.no_space), "makes another secret; the earlier one stays good"),
    Method("computer.list", Role.administrator, m.ComputerListRequest, m.ComputerListAnswer, (), _READS),
    Method("computer.show", Role.administrator, m.ComputerShowRequest, m.ComputerShowAnswer, (E.not_found,), _READS),
    Method("computer.remove", Role.administrator, m.ComputerRemoveRequest, m.ComputerRemoveAnswer,
           (E.not_found, E.no_space), "the same answer, nothing changes"),
    Method("computer.distrust", Role.administrator, m.ComputerDistrustRequest, m.ComputerDistrustAnswer,
           (E.not_found, E.no_space), "the runs not over before then, later ones too"),
    Method("computer.leaning", Role.administrator, m.ComputerLeaningRequest, m.ComputerLeaningAnswer,
           (E.not_found,), _READS),
    Method("job.create", Role.administrator, m.JobCreateRequest, m.JobCreateAnswer,
           (E.not_found, E.conflict, E.wrong_password, E.no_space, E.throttled),
           "the same request, until the agent took its secret: the same answer; else conflict",
           header_bytes_max=limits.JOB_HEADER_BYTES_MAX),
    Method("job.list", Role.administrator, m.JobListRequest, m.JobListAnswer, (E.not_found,), _READS),
    Method("job.show", Role.administrator, m.JobShowRequest, m.JobShowAnswer, (E.not_found,), _READS),
    Method("job.run", Role.administrator, m.JobRunRequest, m.JobRunAnswer,
           (E.not_found, E.no_space), "while a request waits: the same number"),
    Method("job.request", Role.administrator, m.JobRequestRequest, m.JobRequestAnswer, (E.not_found,), _READS),
    Method("job.cancel", Role.administrator, m.JobCancelRequest, m.JobCancelAnswer,
           (E.not_found, E.conflict, E.no_space), "conflict: nothing is left to cancel"),
    Method("job.remove", Role.administrator, m.JobRemoveRequest, m.JobRemoveAnswer,
           (E.not_found, E.no_space), "the same answer, nothing changes"),
    Method("job.freeze", Role.administrator, m.JobFreezeRequest, m.JobFreezeAnswer,
           (E.not_found, E.conflict, E.no_space), "the same, with the new reason; conflict: it is not frozen"),
    Method("keyring.parameters", Role.administrator, m.KeyringParametersRequest, m.KeyringParametersAnswer,
           (E.not_found, E.conflict, E.damaged), _READS),
    Method("keyring.open", Role.administrator, m.KeyringOpenRequest, m.KeyringOpenAnswer,
           (E.not_found, E.conflict, E.wrong_password, E.throttled, E.damaged), "the same answer"),
    Method("keyring.slots", Role.administrator, m.KeyringSlotsRequest, m.KeyringSlotsAnswer,
           (E.not_found, E.conflict, E.wrong_password, E.no_space, E.throttled),
           "the same answer; what was not destroyed yet is",
           header_bytes_max=limits.CHANGE_HEADER_BYTES_MAX),
    Method("safeset.list", Role.account, m.SafesetListRequest, m.SafesetListAnswer, (E.not_found,), _READS),
    Method("safeset.grant", Role.administrator, m.SafesetGrantRequest, m.SafesetGrantAnswer,
           (E.not_found, E.conflict, E.no_space), "a new grant in the place of the one before"),
    Method("safeset.grants", Role.administrator, m.SafesetGrantsRequest, m.SafesetGrantsAnswer, (), _READS),
    Method("safeset.revoke", Role.administrator, m.SafesetRevokeRequest, m.SafesetRevokeAnswer,
           (E.not_found, E.no_space), "not_found: it is gone"),
    Method("safeset.pin", Role.administrator, m.SafesetPinRequest, m.SafesetPinAnswer,
           (E.not_found, E.conflict, E.no_space), "the same, with the new reason"),
    Method("safeset.unpin", Role.administrator, m.SafesetUnpinRequest, m.SafesetUnpinAnswer,
           (E.not_found, E.conflict, E.no_space), "conflict: it is not pinned"),
    Method("safeset.delete", Role.administrator, m.SafesetDeleteRequest, m.SafesetDeleteAnswer,
           (E.not_found, E.conflict, E.no_space), "not_found: it is deleted"),
    Method("safeset.undelete", Role.administrator, m.SafesetUndeleteRequest, m.SafesetUndeleteAnswer,
           (E.not_found, E.conflict, E.no_space), "conflict: it is back"),
    Method("safeset.ended", Role.administrator, m.SafesetEndedRequest, m.SafesetEndedAnswer, (E.not_found,), _READS),
    Method("retention.set", Role.administrator, m.RetentionSetRequest, m.RetentionSetAnswer,
           (E.conflict, E.no_space), "the same answer, nothing changes"),
    Method("retention.confirm", Role.administrator, m.RetentionConfirmRequest, m.RetentionConfirmAnswer,
           (E.not_found, E.conflict, E.no_space), "conflict: nothing waits to be confirmed"),
    Method("retention.limit", Role.administrator, m.RetentionLimitRequest, m.RetentionLimitAnswer,
           (E.conflict, E.no_space), "the same answer, nothing changes"),
    Method("retention.confirm_limit", Role.administrator, m.RetentionConfirmLimitRequest, m.RetentionConfirmLimitAnswer,
           (E.conflict, E.no_space), "conflict: nothing waits to be confirmed"),
    Method("retention.list", Role.administrator, m.RetentionListRequest, m.RetentionListAnswer, (), _READS),
    Method("retention.simulate", Role.administrator, m.RetentionSimulateRequest, m.RetentionSimulateAnswer,
           (E.not_found,), _READS),
    Method("agent.jobs", Role.agent, m.AgentJobsRequest, m.AgentJobsAnswer, (), _READS),
    Method("agent.work", Role.agent, m.AgentWorkRequest, m.AgentWorkAnswer, (),
           "what was told is told again with `all`"),
    Method("keyring.create", Role.agent, m.KeyringCreateRequest, m.KeyringCreateAnswer,
           (E.not_found, E.conflict, E.no_space, E.throttled),
           "the same keyring: the same answer; another one: conflict",
           header_bytes_max=limits.SLOTS_HEADER_BYTES_MAX),
    Method("run.begin", Role.agent, m.RunBeginRequest, m.RunBeginAnswer,
           (E.not_found, E.conflict, E.no_space), "the same run_id: the same run; an older run of the job is aborted"),
    Method("run.key", Role.agent, m.RunKeyRequest, m.RunKeyAnswer,
           (E.not_found, E.conflict, E.no_space), "the same key: the same answer"),
    Method("run.progress", Role.agent, m.RunProgressRequest, m.RunProgressAnswer, (E.not_found,),
           "what was told last counts"),
    Method("run.end", Role.agent, m.RunEndRequest, m.RunEndAnswer,
           (E.not_found, E.conflict, E.no_space), "an ended run: the same answer, nothing changes",
           header_bytes_max=limits.CODES_HEADER_BYTES_MAX),
    Method("chunk.offer", Role.agent, m.ChunkOfferRequest, m.ChunkOfferAnswer,
           (E.not_found, E.conflict, E.throttled), _READS,
           raw="ids, 32 bytes each → bitmap: bit i of byte i // 8, least significant first, 1 = missing",
           raw_bytes_max=limits.ID_BYTES * limits.OFFER_IDS_MAX),
    Method("chunk.upload", Role.agent, m.UploadBatch, m.UploadDurable,
           (E.not_found, E.conflict, E.damaged, E.no_space, E.throttled),
           "a record that is present is not stored again",
           raw="records, one after another", direction=Direction.upload,
           header_bytes_max=limits.BATCH_HEADER_BYTES_MAX, raw_bytes_max=limits.FRAME_RAW_BYTES_MAX),
    Method("safeset.commit", Role.agent, m.SafesetCommitRequest, m.SafesetCommitAnswer,
           (E.not_found, E.conflict, E.damaged, E.no_space, E.throttled), "the same root: the same answer",
           raw="root (360) ‖ payload record",
           raw_bytes_max=limits.ROOT_BYTES + limits.PAYLOAD_BYTES_MAX),
    Method("safeset.find", Role.agent, m.SafesetFindRequest, m.SafesetFindAnswer, (E.not_found,), _READS),
    Method("safeset.roots", Role.agent, m.SafesetRootsRequest, m.SafesetRootsAnswer, (E.not_found,), _READS,
           raw="→ roots of the job's timeline that come after `after`, 360 bytes each, in order"),
    Method("restore.parameters", Role.agent, m.RestoreParametersRequest, m.RestoreParametersAnswer,
           (E.not_found,), _READS),
    Method("restore.open", Role.agent, m.RestoreOpenRequest, m.RestoreOpenAnswer,
           (E.not_found, E.wrong_password, E.throttled, E.damaged), "makes another ticket",
           raw="→ top block record ‖ top companion record; its length 0, and an empty payload, stand for a record"
           " that is damaged or out of reach"),
    Method("restore.order", Role.administrator, m.RestoreOrderRequest, m.RestoreOrderAnswer,
           (E.not_found, E.conflict, E.no_space), "the same message: the same order",
           header_bytes_max=limits.ORDER_HEADER_BYTES_MAX),
    Method("restore.orders", Role.administrator, m.RestoreOrdersRequest, m.RestoreOrdersAnswer, (), _READS),
    Method("restore.state", Role.administrator, m.RestoreStateRequest, m.RestoreStateAnswer, (E.not_found,), _READS),
    Method("restore.cancel", Role.administrator, m.RestoreCancelRequest, m.RestoreCancelAnswer,
           (E.not_found, E.conflict, E.no_space), "one that was cancelled: the same answer; else conflict"),
    Method("restore.take", Role.agent, m.RestoreTakeRequest, m.RestoreTakeAnswer,
           (E.not_found, E.no_space), "the same answer, as long as it has not ended"),
    Method("restore.progress", Role.agent, m.RestoreProgressRequest, m.RestoreProgressAnswer, (E.not_found,),
           "what was told last counts"),
    Method("restore.end", Role.agent, m.RestoreEndRequest, m.RestoreEndAnswer,
           (E.not_found, E.no_space), "one that has ended: the same answer, nothing changes"),
    Method("chunk.fetch", Role.agent, m.ChunkFetchRequest, m.FetchBatch,
           (), _READS,
           raw="ids in the wanted order, 32 bytes each → records in that order; length 0 stands for one that cannot be"
           " given, and `lost` says why", direction=Direction.download,
           raw_bytes_max=limits.ID_BYTES * limits.FETCH_IDS_MAX),
)  # fmt: skip

METHODS: dict[str, Method] = {method.name: method for method in _TABLE}


def request_limits(name: str, *, signed_in: bool) -> FrameLimits:
    """What a frame of a request may have, before anything of it is kept."""
    method = METHODS.get(name)
    if method is None or not (signed_in or method.role is Role.open):
        return REFUSED_LIMITS
    return method.limits
