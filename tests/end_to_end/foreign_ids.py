"""How each method is asked with an id of somebody: one row a method, one request a kind of id."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from protocol import messages as m
from tests.end_to_end.hand_made_job import AgentFacts, create_request
from tests.vaultd.operations.ordering import sealed_order
from tests.vaultd.operations.sealing import Sealer, slot

RECORD = bytes(200)


@dataclass
class Facts:
    """Ids of the account whose things are asked for, by kind."""

    ids: dict[str, bytes | str] = field(default_factory=dict)
    agent: AgentFacts | None = None
    sealer: Sealer | None = None
    leaf: tuple[bytes, bytes] = (b"", b"")


Make = Callable[[Any, Facts], tuple[msgspec.Struct, bytes]]


def make(request: type[msgspec.Struct], /, _raw: bytes = b"", **fixed: Any) -> Callable[[str], Make]:
    """A request whose one field is the id under test; all else is fixed."""

    def with_field(name: str) -> Make:
        return lambda value, mine: (
            request(**{name: value}, **{key: v(mine) if callable(v) else v for key, v in fixed.items()}),
            _raw,
        )

    return with_field


def of(kind: str) -> Callable[[Facts], Any]:
    """An id of the caller's own account."""
    return lambda mine: mine.ids[kind]


def keyring_request(value: Any, mine: Facts) -> tuple[msgspec.Struct, bytes]:
    keyring_id = secrets.token_bytes(16)
    slots = [m.SlotUpload(slot(keyring_id), bytes(32))]
    return m.KeyringCreateRequest(value, keyring_id, 1, 1, bytes(1216), 1, bytes(32), slots), b""


def join_request(name: str) -> Make:
    """A job in the keyring of another; the one field is the id."""

    def make_join(value: Any, mine: Facts) -> tuple[msgspec.Struct, bytes]:
        assert mine.agent is not None
        facts: dict[str, Any] = {kind: mine.ids[kind] for kind in ("slot_id", "keyring_id", "proof")} | {name: value}
        slots = [m.SlotUpload(slot(bytes(16)), bytes(32))]
        change = m.SlotChange(facts["keyring_id"], facts["slot_id"], facts["proof"], slots, [])
        join = m.KeyringJoin(change, mine.agent.fingerprint + bytes(12))
        asked = (str(mine.ids["computer"]), secrets.token_hex(8), secrets.token_bytes(16))
        return create_request(mine.agent, *asked, join), b""

    return make_join


def change_request(name: str) -> Make:
    """Other slots for the keyring of a job; the one field is the id."""

    def make_change(value: Any, mine: Facts) -> tuple[msgspec.Struct, bytes]:
        facts = {kind: mine.ids[kind] for kind in ("computer", "job", "slot_id", "keyring_id")} | {name: value}
        slots = [m.SlotUpload(slot(bytes(16)), bytes(32))]
        change = m.SlotChange(facts["keyring_id"], facts["slot_id"], mine.ids["proof"], slots, [])  # type: ignore[arg-type]
        return m.KeyringSlotsRequest(facts["computer"], facts["job"], change), b""  # type: ignore[arg-type]

    return make_change


def job_request(value: Any, mine: Facts) -> tuple[msgspec.Struct, bytes]:
    """On a computer: with a secret that its agent could open."""
    assert mine.agent is not None
    return create_request(mine.agent, value, secrets.token_hex(8), secrets.token_bytes(16)), b""


def job_id_request(value: Any, mine: Facts) -> tuple[msgspec.Struct, bytes]:
    """Under a name that is taken: with a free one, an id that does not exist would make a job."""
    assert mine.agent is not None
    return create_request(mine.agent, str(mine.ids["computer"]), str(mine.ids["job"]), value), b""


def order_for(mine: Facts) -> bytes:
    """To restore the job on the computer itself."""
    assert mine.agent is not None
    ids = (mine.agent.account_id, mine.agent.computer_id, mine.ids["job_id"])
    return sealed_order(ids, mine.agent.fingerprint)  # type: ignore[arg-type]


def order_end(value: Any, mine: Facts) -> tuple[msgspec.Struct, bytes]:
    return m.RestoreEndRequest(value, "done", 0, "", 0, 0, 0, 0), b""


def key_request(value: Any, mine: Facts) -> tuple[msgspec.Struct, bytes]:
    """A run key as sealed for the run."""
    assert mine.sealer is not None
    sealed_key = dataclasses.replace(mine.sealer, run_id=value).make_sealed_key()
    return m.RunKeyRequest(value, sealed_key), b""


def commit_request(value: Any, mine: Facts) -> tuple[msgspec.Struct, bytes]:
    """A root and a payload that are whole, signed, and of the run."""
    assert mine.sealer is not None
    payload = mine.sealer.payload(mine.leaf)
    return m.SafesetCommitRequest(value), mine.sealer.root(mine.leaf, payload, run=value) + payload


def run_end(value: Any, mine: Facts) -> tuple[msgspec.Struct, bytes]:
    return m.RunEndRequest(value, "done", 0, 0, 0, 0, {}), b""


def upload(value: Any, mine: Facts) -> tuple[msgspec.Struct, bytes]:
    return m.UploadBatch(value, 1, [len(RECORD)], bytes(32)), RECORD


@dataclass(frozen=True)
class Row:
    """Which context asks, and for each kind of id the request made from it."""

    caller: str
    kinds: dict[str, Make]


def of_a_job(request: type[msgspec.Struct], **fixed: Any) -> Row:
    """An administrator names a computer and a job of it."""
    computer = make(request, job=of("job"), **fixed)("computer")
    return Row("administrator", {"computer": computer, "job": make(request, computer=of("computer"), **fixed)("job")})


OPERATOR_ONLY = Row("operator", {})  # the operator sees every account
NO_IDS = Row("administrator", {})
COMPUTER, JOB = (
    make(m.JobShowRequest, job=of("job"))("computer"),
    make(m.JobShowRequest, computer=of("computer"))("job"),
)

ROWS: dict[str, Row] = {
    "hello": NO_IDS,
    "authority": NO_IDS,
    "register": Row("agent", {}),
    "account.create": OPERATOR_ONLY,
    "account.list": OPERATOR_ONLY,
    "account.show": OPERATOR_ONLY,
    "vault.status": OPERATOR_ONLY,
    "disk.list": OPERATOR_ONLY,
    "disk.hit": OPERATOR_ONLY,
    "disk.lost": OPERATOR_ONLY,
    "clock.accept": OPERATOR_ONLY,
    "collection.start": OPERATOR_ONLY,
    "collection.state": OPERATOR_ONLY,
    "scrub.begin": OPERATOR_ONLY,
    "scrub.state": OPERATOR_ONLY,
    "scrub.hit": OPERATOR_ONLY,
    "retention.set": NO_IDS,
    "retention.confirm": NO_IDS,
    "retention.limit": NO_IDS,
    "retention.confirm_limit": NO_IDS,
    "retention.list": NO_IDS,
    "retention.simulate": of_a_job(m.RetentionSimulateRequest),
    "job.freeze": of_a_job(m.JobFreezeRequest, reason="why"),
    "safeset.pin": of_a_job(m.SafesetPinRequest, number=1, reason="why"),
    "safeset.unpin": of_a_job(m.SafesetUnpinRequest, number=1),
    "safeset.delete": of_a_job(m.SafesetDeleteRequest, number=1),
    "safeset.undelete": of_a_job(m.SafesetUndeleteRequest, number=1, reason="why"),
    "safeset.ended": of_a_job(m.SafesetEndedRequest),
    "computer.invite": NO_IDS,
    "computer.list": NO_IDS,
    "computer.show": Row("administrator", {"computer": make(m.ComputerShowRequest)("computer")}),
    "computer.remove": Row("administrator", {"computer": make(m.ComputerRemoveRequest)("computer")}),
    "computer.distrust": Row(
        "administrator",
        {"computer": make(m.ComputerDistrustRequest, since_ns=2**62, undo=False, dry_run=False)("computer")},
    ),
    "computer.leaning": Row("administrator", {"computer": make(m.ComputerLeaningRequest, since_ns=1)("computer")}),
    "job.create": Row(
        "administrator",
        {"computer": job_request, "job_id": job_id_request, "keyring_id": join_request("keyring_id")},
    ),
    "job.list": Row("administrator", {"computer": make(m.JobListRequest)("computer")}),
    "job.show": Row("administrator", {"computer": COMPUTER, "job": JOB}),
    "job.run": Row(
        "administrator",
        {
            "computer": make(m.JobRunRequest, job=of("job"))("computer"),
            "job": make(m.JobRunRequest, computer=of("computer"))("job"),
        },
    ),
    "job.request": Row(
        "administrator",
        {
            "computer": make(m.JobRequestRequest, job=of("job"), request=1)("computer"),
            "job": make(m.JobRequestRequest, computer=of("computer"), request=1)("job"),
        },
    ),
    "job.cancel": Row(
        "administrator",
        {
            "computer": make(m.JobCancelRequest, job=of("job"))("computer"),
            "job": make(m.JobCancelRequest, computer=of("computer"))("job"),
        },
    ),
    "job.remove": Row(
        "administrator",
        {
            "computer": make(m.JobRemoveRequest, job=of("job"))("computer"),
            "job": make(m.JobRemoveRequest, computer=of("computer"))("job"),
        },
    ),
    "safeset.list": Row(
        "administrator",
        {
            "computer": make(m.SafesetListRequest, job=of("job"))("computer"),
            "job": make(m.SafesetListRequest, computer=of("computer"))("job"),
        },
    ),
    "safeset.grant": Row(
        "administrator",
        {
            "computer": make(m.SafesetGrantRequest, job=of("job"), to=of("to"), days=7)("computer"),
            "job": make(m.SafesetGrantRequest, computer=of("computer"), to=of("to"), days=7)("job"),
            "to": make(m.SafesetGrantRequest, computer=of("computer"), job=of("job"), days=7)("to"),
        },
    ),
    "safeset.grants": NO_IDS,
    "safeset.revoke": Row(
        "administrator",
        {
            "computer": make(m.SafesetRevokeRequest, job=of("job"), to=of("to"))("computer"),
            "job": make(m.SafesetRevokeRequest, computer=of("computer"), to=of("to"))("job"),
            "to": make(m.SafesetRevokeRequest, computer=of("computer"), job=of("job"))("to"),
        },
    ),
    "agent.jobs": Row("agent", {}),
    "agent.work": Row("agent", {}),
    "keyring.create": Row("agent", {"job_id": keyring_request}),
    "run.begin": Row(
        "agent",
        {
            "job_id": make(m.RunBeginRequest, run_id=bytes(range(16)), base=None)("job_id"),
            "run_id": make(m.RunBeginRequest, job_id=of("job_id"), base=None)("run_id"),
            "root_hash": make(m.RunBeginRequest, job_id=of("job_id"), run_id=lambda _: secrets.token_bytes(16))("base"),
        },
    ),
    "run.key": Row("agent", {"run_id": key_request}),
    "run.progress": Row("agent", {"run_id": make(m.RunProgressRequest, files=1, bytes=2, bytes_total=3)("run_id")}),
    "run.end": Row("agent", {"run_id": run_end}),
    "chunk.offer": Row("agent", {"run_id": make(m.ChunkOfferRequest, _raw=bytes(32))("run_id")}),
    "chunk.upload": Row("agent", {"run_id": upload}),
    "safeset.commit": Row("agent", {"run_id": commit_request}),
    "safeset.find": Row(
        "agent",
        {
            "job_id": make(m.SafesetFindRequest, root_hash=of("root_hash"))("job_id"),
            "root_hash": make(m.SafesetFindRequest, job_id=of("job_id"))("root_hash"),
        },
    ),
    "safeset.roots": Row("agent", {"job_id": make(m.SafesetRootsRequest, after=0)("job_id")}),
    "restore.parameters": Row(
        "agent",
        {
            "computer": make(m.RestoreParametersRequest, job=of("job"))("computer"),
            "job": make(m.RestoreParametersRequest, computer=None)("job"),
        },
    ),
    "keyring.parameters": Row(
        "administrator",
        {
            "computer": make(m.KeyringParametersRequest, job=of("job"))("computer"),
            "job": make(m.KeyringParametersRequest, computer=of("computer"))("job"),
        },
    ),
    "keyring.open": Row(
        "administrator",
        {
            "computer": make(m.KeyringOpenRequest, job=of("job"), slot_id=of("slot_id"), proof=of("proof"))("computer"),
            "job": make(m.KeyringOpenRequest, computer=of("computer"), slot_id=of("slot_id"), proof=of("proof"))("job"),
            "slot_id": make(m.KeyringOpenRequest, computer=of("computer"), job=of("job"), proof=of("proof"))("slot_id"),
        },
    ),
    "keyring.slots": Row(
        "administrator", {name: change_request(name) for name in ("computer", "job", "slot_id", "keyring_id")}
    ),
    "restore.open": Row(
        "agent",
        {
            "computer": make(m.RestoreOpenRequest, job=of("job"), slot_id=of("slot_id"), proof=of("proof"), sequence=0)(
                "computer"
            ),
            "job": make(m.RestoreOpenRequest, computer=None, slot_id=of("slot_id"), proof=of("proof"), sequence=0)(
                "job"
            ),
            "slot_id": make(m.RestoreOpenRequest, computer=None, job=of("job"), proof=of("proof"), sequence=0)(
                "slot_id"
            ),
        },
    ),
    "restore.order": Row(
        "administrator",
        {
            "computer": make(m.RestoreOrderRequest, job=of("job"), to=None, message=order_for)("computer"),
            "job": make(m.RestoreOrderRequest, computer=of("computer"), to=None, message=order_for)("job"),
            "to": make(m.RestoreOrderRequest, computer=of("computer"), job=of("job"), message=order_for)("to"),
        },
    ),
    "restore.orders": NO_IDS,
    "restore.state": NO_IDS,
    "restore.cancel": NO_IDS,
    "restore.take": Row("agent", {"order_id": make(m.RestoreTakeRequest)("order_id")}),
    "restore.progress": Row(
        "agent", {"order_id": make(m.RestoreProgressRequest, files=1, bytes=2, bytes_total=3)("order_id")}
    ),
    "restore.end": Row("agent", {"order_id": order_end}),
    "chunk.fetch": Row("agent", {"ticket": make(m.ChunkFetchRequest, _raw=bytes(32))("ticket")}),
}
# Ids that are chunks: asked for with the caller's own run or ticket.
CHUNK_ROWS = {"chunk.offer": m.ChunkOfferRequest, "chunk.fetch": m.ChunkFetchRequest}
