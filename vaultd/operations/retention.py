"""What the rules of retention say of a job's safesets, now and later."""

from collections import deque
from dataclasses import dataclass

import msgspec

from vaultd.catalog.database import View
from vaultd.catalog.ended_safesets import list_ended
from vaultd.catalog.freezes import read_freeze
from vaultd.catalog.pins import list_pins
from vaultd.catalog.retention_types import list_types
from vaultd.catalog.safesets import list_safesets, place_of, safeset_at
from vaultd.operations.access import named_computer, named_job
from vaultd.operations.retention_limit import limited_from
from vaultd.operations.retention_types import terms_by_type
from vaultd.operations.root_format import parse_root
from vaultd.operations.vault import Vault
from vaultd.policy.retention import DEFAULT_TYPE, Point, TermsOf, Verdict, is_burst, judge
from vaultd.policy.retention_forecast import Going, forecast
from vaultd.records import EndedSafeset, EndState, Freeze, Identity, Job, RetentionType, Safeset

ENDED_SHOWN_MAX = 1_000
NEVER_FROZEN = Freeze(is_on=False, reason="", changed_ns=0)


class SimulatedSafeset(msgspec.Struct, frozen=True, kw_only=True):
    """`reason`: why it stays or goes now; `is_held`: only a freeze keeps it. `goes_ns` with `goes_reason`: when and why
    it will go, 0 and empty where it stays for a year to come.
    """

    number: int
    stored_at_ns: int
    type: str
    pinned: bool
    reason: str
    is_held: bool
    goes_ns: int
    goes_reason: str


@dataclass(frozen=True, slots=True)
class Basis:
    """What decides about a job's safesets beside the safesets themselves and the job's row, which counts them."""

    freeze: Freeze
    pins: frozenset[bytes]
    types: tuple[RetentionType, ...]
    limited_from_ns: int | None


@dataclass(frozen=True, slots=True)
class JobRetention:
    """Of one job: its complete safesets in the order of their numbers, and what the rules say of those that stand.
    `ended`: by place, what ended of them. `is_burst`: the job is to be frozen.
    """

    safesets: dict[tuple[int, int], Safeset]
    ended: dict[bytes, EndedSafeset]
    points: list[Point]
    verdicts: list[Verdict]
    basis: Basis
    terms_of: TermsOf
    is_burst: bool


def basis_of(view: View, job: Job) -> Basis:
    return Basis(
        read_freeze(view, job.account_id, job.job_id) or NEVER_FROZEN,
        frozenset(place for place, _ in list_pins(view, job.account_id, job.job_id)),
        tuple(list_types(view, job.account_id)),
        limited_from(view, job.account_id),
    )


def judge_job(view: View, job: Job, now_ns: int) -> JobRetention:
    ended = dict(list_ended(view, job.account_id, job.job_id))
    basis = basis_of(view, job)
    complete = {
        (one.timeline, one.sequence): one
        for one in list_safesets(view, job.account_id, job.job_id)
        if parse_root(one.root).complete
    }
    points = [
        Point(*place, one.stored_at_ns, one.retention, place_of(*place) in basis.pins, place_of(*place) in ended)
        for place, one in complete.items()
    ]
    terms, freeze = terms_by_type(basis.types), basis.freeze
    verdicts = judge(points, terms, now_ns, basis.limited_from_ns, is_frozen=freeze.is_on)
    bursts = not freeze.is_on and is_burst(points, freeze.changed_ns)
    return JobRetention(complete, ended, points, verdicts, basis, terms, bursts)


class EndedSummary(msgspec.Struct, frozen=True, kw_only=True):
    """`until_ns`: until when it can be brought back, 0 once it was purged."""

    number: int
    stored_at_ns: int
    state: str
    reason: str
    ended_ns: int
    until_ns: int


def list_ended_newest(vault: Vault, identity: Identity, computer: str, name: str) -> list[EndedSummary]:
    """The newest ENDED_SHOWN_MAX of them, in the order of their numbers."""
    life_ns = vault.config.undelete_seconds * 1_000_000_000
    with vault.catalog.read() as view:
        job = named_job(view, named_computer(view, identity, computer), name)
        newest = deque(list_ended(view, job.account_id, job.job_id), ENDED_SHOWN_MAX)
        found = [(safeset_at(view, job.account_id, job.job_id, place), ended) for place, ended in newest]
    return [
        EndedSummary(
            number=safeset.sequence,
            stored_at_ns=safeset.stored_at_ns,
            state=ended.state.value,
            reason=ended.reason,
            ended_ns=ended.ended_ns,
            until_ns=0 if ended.state is EndState.PURGED else ended.ended_ns + life_ns,
        )
        for safeset, ended in found
        if safeset is not None
    ]


def simulate(vault: Vault, identity: Identity, computer: str, name: str) -> list[SimulatedSafeset]:
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        job = named_job(view, named_computer(view, identity, computer), name)
        found = judge_job(view, job, now_ns)
    type_ = job.definition.retention or DEFAULT_TYPE
    ahead = forecast(found.points, found.terms_of, now_ns, found.basis.limited_from_ns, type_)
    return [_simulated(verdict, ahead[verdict.point.timeline, verdict.point.sequence]) for verdict in found.verdicts]


def _simulated(verdict: Verdict, going: Going) -> SimulatedSafeset:
    point = verdict.point
    return SimulatedSafeset(
        number=point.sequence,
        stored_at_ns=point.stored_at_ns,
        type=verdict.type or DEFAULT_TYPE,
        pinned=point.is_pinned,
        reason=verdict.reason.value,
        is_held=verdict.is_held,
        goes_ns=going.goes_ns or 0,
        goes_reason=going.reason.value if going.goes_ns else "",
    )
