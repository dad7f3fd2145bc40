"""The values that the layers of the daemon hand to one another, and the rows of the catalog.

Invariants: everything is frozen. A catalog row is stored as the msgpack array of its fields: a new field goes to the
end and has a default, so that older rows still read. Ids are bytes (16; hashes 32), times are nanoseconds of the
vault's clock.
"""

from enum import StrEnum

import msgspec

# (table, key, value); nil as the value removes the row.
Change = tuple[str, bytes, bytes | None]

NO_ID = bytes(16)
NO_HASH = bytes(32)


class Row(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of every catalog row. One with more fields is refused: an older vaultd would lose them when it writes it."""


class Role(StrEnum):
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"
    AGENT = "agent"


class Outcome(StrEnum):
    """How a run stands. `running` is the only one that takes records."""

    RUNNING = "running"
    DONE = "done"
    WARNINGS = "warnings"
    FAILED = "failed"
    ABORTED = "aborted"


class OrderState(StrEnum):
    """How a restore order stands. The first two are the only ones that are open."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    WARNINGS = "warnings"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_open(self) -> bool:
        return self in (OrderState.WAITING, OrderState.RUNNING)


class EndState(StrEnum):
    """How a safeset that is not kept any more stands: by the rules of retention, by an administrator, for good."""

    EXPIRED = "expired"
    DELETED = "deleted"
    PURGED = "purged"


class Identity(Row, frozen=True):
    """Who is at the other end. The operator belongs to no account (NO_ID); an agent's identity is its computer's id."""

    identity_id: bytes
    account_id: bytes
    role: Role
    name: str

    @property
    def computer_id(self) -> bytes:
        return self.identity_id if self.role is Role.AGENT else NO_ID


class AgentIdentity(Identity, frozen=True):
    """An agent with the key (BLAKE3 of its SPKI) that it signed in with: another one may take its place meanwhile.
    Never stored.
    """

    agent_key: bytes


class DiskRow(Row, frozen=True):
    """A disk that the vault has or had. `number` is nil where only containers tell of it; `path`: where it was last.

    `is_lost`: declared so by an operator, or replaced. `changed_ns`: since when the row says this.
    """

    disk_id: bytes
    number: int | None
    is_lost: bool
    path: str
    changed_ns: int


class Account(Row, frozen=True):
    account_id: bytes
    name: str
    created_ns: int
    packages: int
    home_disk: bytes
    over_limit: str = "expire"


class Invite(Row, frozen=True):
    """An invite code without its secret. `computer_id` is the computer that used it, or NO_ID; `replaces` the one that
    is to be replaced by whoever uses it, or NO_ID.
    """

    account_id: bytes
    kind: str
    created_ns: int
    expires_ns: int
    computer_id: bytes = NO_ID
    replaces: bytes = NO_ID


class AgentKey(Row, frozen=True):
    """Look-up from the fingerprint of an agent's TLS key."""

    account_id: bytes
    computer_id: bytes


class Computer(Row, frozen=True):
    """`last_seen_ns`: its registration, or the begin or end of a run. `removed_ns` is 0 while it may sign in."""

    computer_id: bytes
    account_id: bytes
    name: str
    kind: str
    registered_ns: int
    last_seen_ns: int
    tls_key: bytes
    sealing_key: bytes
    certificate_pem: bytes
    removed_ns: int = 0


class JobDefinition(Row, frozen=True):
    """`options` is a packed map of which the vault knows nothing."""

    include: tuple[bytes, ...]
    exclude: tuple[str, ...]
    one_file_system: bool
    schedule: str
    retention: str
    suite: int
    compression: int
    both_sites: bool
    options: bytes


class Job(Row, frozen=True):
    """`signature` is that of `creator_key` over the job at this `revision`; `signing_key` verifies the job's roots and
    comes with its keyring; `earlier_signers` did so in the generations that they stand with. The head is the newest
    safeset; `request` is the number of the newest asked-for run, `requests_taken` that of the newest begun or taken
    back. `safesets` counts those that were not replaced and did not end. `removed_ns` is 0 while the job takes runs.
    """

    job_id: bytes
    account_id: bytes
    computer_id: bytes
    name: str
    definition: JobDefinition
    revision: int
    creator_key: bytes
    signature: bytes
    created_ns: int
    keyring_id: bytes = NO_ID
    signing_key: bytes = b""
    timeline: int = 1
    head_sequence: int = 0
    head_hash: bytes = NO_HASH
    complete_sequence: int = 0
    protected_bytes: int = 0
    safesets: int = 0
    request: int = 0
    requests_taken: int = 0
    runs: int = 0
    removed_ns: int = 0
    earlier_signers: tuple[tuple[int, bytes], ...] = ()


class Keyring(Row, frozen=True):
    keyring_id: bytes
    account_id: bytes
    generation: int
    kem: int
    public_key: bytes
    minimum_suite: int
    created_ns: int


class Slot(Row, frozen=True):
    """One copy of a slot, wrapped under the slot's own erase key."""

    slot_id: bytes
    wrapped: bytes
    proof_hash: bytes


class ErasedSlot(Row, frozen=True):
    """A slot that another one took the place of: its erase key is destroyed, also where a disk brings a copy back."""

    slot_id: bytes
    erased_ns: int


class RunKey(Row, frozen=True):
    """A sealed run key, wrapped under the erase key of the job that made it."""

    key_id: bytes
    job_id: bytes
    run_id: bytes
    wrapped: bytes
    created_ns: int


class Figures(Row, frozen=True):
    """What an agent tells at the end of a run: counts and codes, no names."""

    files: int = 0
    new_chunks: int = 0
    new_bytes: int = 0
    warnings: int = 0
    codes: dict[str, int] = {}


class Run(Row, frozen=True):
    """`number` counts the job's runs from 1; `base` is the root hash that it builds on, or NO_HASH; `request` is what
    asked for it, or 0.
    """

    run_id: bytes
    account_id: bytes
    job_id: bytes
    keyring_id: bytes
    number: int
    begin_ns: int
    base: bytes = NO_HASH
    request: int = 0
    key_ids: tuple[bytes, ...] = ()
    outcome: Outcome = Outcome.RUNNING
    end_ns: int = 0
    figures: Figures = Figures()
    sequence: int = 0


class Safeset(Row, frozen=True):
    """A committed root with the vault's countersignature over it at `stored_at_ns`. The row never changes: that it is
    damaged is said by a DamagedSafeset, and `damaged` stays false.
    """

    timeline: int
    sequence: int
    job_id: bytes
    keyring_id: bytes
    run_id: bytes
    root: bytes
    root_hash: bytes
    payload_id: bytes
    countersignature: bytes
    stored_at_ns: int
    retention: str
    damaged: bool = False


class DamagedSafeset(Row, frozen=True):
    """A safeset that uses a record of its keyring that is damaged or lost: `lost_id` is one such."""

    keyring_id: bytes
    lost_id: bytes
    found_ns: int


class RetentionTerms(Row, frozen=True):
    """Of a retention type, set at a time. `confirmed_ns`: when they were confirmed for older safesets too; 0 if not."""

    days: int
    copies: int
    set_ns: int
    confirmed_ns: int = 0


class LimitChange(Row, frozen=True):
    """That the limit of 44 came back at a time, and is not confirmed for what was stored before."""

    set_ns: int


class RetentionType(Row, frozen=True):
    """`changes` in their order, at least one; the last one is what holds for new safesets."""

    name: str
    changes: tuple[RetentionTerms, ...]


class EndedSafeset(Row, frozen=True):
    """A safeset that is not kept any more. `purged_ns` is 0 while it can be brought back; `signature` is the vault's
    over reason and times from then on.
    """

    state: EndState
    reason: str
    ended_ns: int
    purged_ns: int = 0
    signature: bytes = b""


class Pin(Row, frozen=True):
    """A safeset that is held, and why."""

    reason: str
    pinned_ns: int
    actor: str


class FilledSlot(Row, frozen=True):
    """The day (UTC, since 1970) whose slot a job filled last."""

    day: int


class Freeze(Row, frozen=True):
    """Of a job: whether anything of it may end. `changed_ns`: since when the row says this."""

    is_on: bool
    reason: str
    changed_ns: int


class ClockDoubt(Row, frozen=True):
    """The vault's clock jumped by so many seconds, found at a time by it. `accepted_ns` is 0 until an operator says it
    is right.
    """

    jump_seconds: int
    found_ns: int
    accepted_ns: int = 0


class Grant(Row, frozen=True):
    """Leave for `computer_id` to restore a job of another computer: to begin until `expires_ns`, and a day from its
    first use on (0 before it).
    """

    job_id: bytes
    computer_id: bytes
    created_ns: int
    expires_ns: int
    first_used_ns: int = 0


class RestoreFigures(Row, frozen=True):
    """What an agent tells at the end of a restore that it was ordered: counts and a code, no names."""

    files: int = 0
    bytes: int = 0
    left: int = 0
    warnings: int = 0
    exit_code: int = -1
    code: str = ""


class RestoreOrder(Row, frozen=True):
    """A restore that `computer_id` is to carry out. `order_id` is that of its message, which has a row of its own."""

    number: int
    order_id: bytes
    job_id: bytes
    computer_id: bytes
    created_ns: int
    expires_ns: int
    state: OrderState = OrderState.WAITING
    begin_ns: int = 0
    end_ns: int = 0
    figures: RestoreFigures = RestoreFigures()


class AuditEntry(Row, frozen=True):
    """Who did what: `subject` is the name of the thing, `actor` the role and name of the identity."""

    time_ns: int
    actor: str
    action: str
    subject: str
