"""Inviting and registering computers, and showing them."""

import os
from dataclasses import dataclass, field

import msgspec

from vaultd.catalog.computers import (
    find_computer,
    has_its_name,
    is_known_tls_key,
    list_computers,
    read_computer,
    save_computer,
)
from vaultd.catalog.database import View
from vaultd.catalog.invites import find_invite, save_invite
from vaultd.catalog.jobs import list_computer_jobs
from vaultd.errors import BadRequest, Conflict, NotAllowed
from vaultd.operations import ledger
from vaultd.operations.access import named_computer, working_computer
from vaultd.operations.auditing import audited
from vaultd.operations.authority import issue_agent, spki_of_request
from vaultd.operations.names import check_name
from vaultd.operations.replacement import NewKeys, replace_agent
from vaultd.operations.sealed_headers import PUBLIC_KEY_BYTES
from vaultd.operations.summaries import ComputerSummary, JobSummary, summarise_computer, summarise_job
from vaultd.operations.vault import Vault
from vaultd.policy.clock_jump import is_alive
from vaultd.records import NO_ID, Change, Computer, Identity, Invite, Role

KINDS = ("pc", "server")
SECRET_BYTES = 16
INVITE_LIFE_NS = 7 * 24 * 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class CreatedInvite:
    """The administrator's program makes the invite code of it, which names whom the agent will trust."""

    secret: bytes = field(repr=False)
    expires_ns: int


@dataclass(frozen=True, slots=True)
class RegistrationRequest:
    """What a new agent sends: the code's secret, the name it wants, a DER certificate request, and its sealing key."""

    secret: bytes = field(repr=False)
    name: str
    certificate_request: bytes
    sealing_key: bytes


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request whose code is known and whose key is its sender's, with the certificate that it may get."""

    request: RegistrationRequest
    tls_key: bytes
    computer_id: bytes
    certificate_pem: bytes


@dataclass(frozen=True, slots=True)
class Registered:
    account_id: bytes
    computer_id: bytes
    name: str
    kind: str
    certificate_pem: str
    authority_pem: str
    vault_id: bytes
    vault_key: bytes


@dataclass(frozen=True, slots=True)
class ComputerDetails:
    computer: ComputerSummary
    tls_key: bytes
    sealing_key: bytes
    jobs: list[JobSummary]


def invite(vault: Vault, identity: Identity, kind: str | None, replace: str | None = None) -> CreatedInvite:
    """W. A secret for one registration: of a new computer, or of the agent that takes the place of another one."""
    if kind is not None and kind not in KINDS:
        raise BadRequest(f"kind must be {' or '.join(KINDS)}, not {kind!r}")
    secret = os.urandom(SECRET_BYTES)
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        old = None if replace is None else working_computer(view, identity, replace)
        kind = kind or (KINDS[0] if old is None else old.kind)
        row = Invite(identity.account_id, kind, now_ns, now_ns + INVITE_LIFE_NS)
        action, subject = "computer.invite", kind
        if old is not None:
            row = msgspec.structs.replace(row, replaces=old.computer_id)
            action, subject = "computer.replace", old.name
        audit = audited(vault, view, identity, action, subject)
    ledger.record(vault, [*save_invite(row, secret), *audit])
    return CreatedInvite(secret, row.expires_ns)


def check_request(vault: Vault, request: RegistrationRequest) -> CheckedRequest:
    """For any thread: whoever guesses a code or sends a bad request takes none of the writer's time."""
    check_name(request.name, "name of the computer")
    if len(request.sealing_key) != PUBLIC_KEY_BYTES[1]:
        raise BadRequest(f"sealing_key must have {PUBLIC_KEY_BYTES[1]} bytes, not {len(request.sealing_key)}")
    with vault.catalog.read() as view:
        row = _known_invite(view, request.secret)
    tls_key = spki_of_request(request.certificate_request)
    computer_id = os.urandom(16) if row.replaces == NO_ID else row.replaces
    certificate = issue_agent(vault.authority, request.certificate_request, computer_id, vault.clock.now_ns())
    return CheckedRequest(request, tls_key, computer_id, certificate)


def register(vault: Vault, checked: CheckedRequest) -> Registered:
    """W. Uses the code up and creates the computer, or puts its agent in the place of another one; the same request
    again is answered the same way.
    """
    request = checked.request
    with vault.catalog.read() as view:
        invite_row = _usable_invite(vault, view, checked)
        if invite_row.computer_id != NO_ID:
            known = read_computer(view, invite_row.account_id, invite_row.computer_id)
            assert known is not None
            return _registered(vault, known)
        _refuse_known_key(view, checked.tls_key)
        if invite_row.replaces == NO_ID:
            computer, saved = _new_computer(vault, view, invite_row, checked)
        else:
            computer, saved = _replaced(vault, view, invite_row, checked)
        agent = Identity(computer.computer_id, computer.account_id, Role.AGENT, computer.name)
        action = "register" if invite_row.replaces == NO_ID else "replace"
        audit = audited(vault, view, agent, action, computer.name)
    used = msgspec.structs.replace(invite_row, computer_id=computer.computer_id)
    ledger.record(vault, [*save_invite(used, request.secret), *saved, *audit])
    vault.tickets.take_back(computer.computer_id)
    return _registered(vault, computer)


def list_all(vault: Vault, identity: Identity) -> list[ComputerSummary]:
    """Those with a name: that of a removed one may be another's by now."""
    with vault.catalog.read() as view:
        computers = [one for one in list_computers(view, identity.account_id) if has_its_name(view, one)]
        found = [summarise_computer(view, computer) for computer in computers]
    return sorted(found, key=lambda one: one.name)


def show(vault: Vault, identity: Identity, name: str) -> ComputerDetails:
    with vault.catalog.read() as view:
        computer = named_computer(view, identity, name)
        jobs = list_computer_jobs(view, computer.account_id, computer.computer_id)
        summaries = [summarise_job(view, job) for job in jobs]
        return ComputerDetails(summarise_computer(view, computer), computer.tls_key, computer.sealing_key, summaries)


def _known_invite(view: View, secret: bytes) -> Invite:
    row = find_invite(view, secret)
    if row is None:
        raise _bad_code()
    return row


def _usable_invite(vault: Vault, view: View, checked: CheckedRequest) -> Invite:
    request = checked.request
    row = _known_invite(view, request.secret)
    if row.computer_id != NO_ID:
        known = read_computer(view, row.account_id, row.computer_id)
        if known is None or known.removed_ns:
            raise _bad_code()
        if (known.tls_key, known.sealing_key) != (checked.tls_key, request.sealing_key):
            raise _bad_code()
        if row.replaces == NO_ID and known.name != request.name:
            raise _bad_code()
    elif not is_alive(row.created_ns, row.expires_ns, vault.clock.now_ns()):
        raise _bad_code()
    return row


def _bad_code() -> NotAllowed:
    """One sentence for every reason: whoever guesses learns nothing."""
    return NotAllowed(
        "this invite code is unknown, used or expired", "ask an administrator of the account for a new one"
    )


def _refuse_known_key(view: View, tls_key: bytes) -> None:
    if is_known_tls_key(view, tls_key):
        raise Conflict("this agent key is registered already", "register with an empty state directory")


def _refuse_taken_name(view: View, account_id: bytes, name: str) -> None:
    known = find_computer(view, account_id, name)
    if known is not None and not known.removed_ns:
        raise Conflict(f"a computer named {name!r} is registered already", "register with another --name")
    if known is not None and any(job.safesets for job in list_computer_jobs(view, account_id, known.computer_id)):
        sentence = f"a computer named {name!r} was removed, and its safesets keep the name"
        raise Conflict(sentence, "register with another --name")


def _new_computer(vault: Vault, view: View, row: Invite, checked: CheckedRequest) -> tuple[Computer, list[Change]]:
    name, now_ns = checked.request.name, vault.clock.now_ns()
    _refuse_taken_name(view, row.account_id, name)
    computer = Computer(
        computer_id=checked.computer_id,
        account_id=row.account_id,
        name=name,
        kind=row.kind,
        registered_ns=now_ns,
        last_seen_ns=now_ns,
        tls_key=checked.tls_key,
        sealing_key=checked.request.sealing_key,
        certificate_pem=checked.certificate_pem,
    )
    return computer, save_computer(computer)


def _replaced(vault: Vault, view: View, row: Invite, checked: CheckedRequest) -> tuple[Computer, list[Change]]:
    """Name, id, jobs and history stay whatever name was asked for."""
    old = read_computer(view, row.account_id, row.replaces)
    if old is None or old.removed_ns:
        raise _bad_code()
    keys = NewKeys(row.kind, checked.tls_key, checked.request.sealing_key, checked.certificate_pem)
    return replace_agent(view, old, keys, vault.clock.now_ns())


def _registered(vault: Vault, computer: Computer) -> Registered:
    return Registered(
        account_id=computer.account_id,
        computer_id=computer.computer_id,
        name=computer.name,
        kind=computer.kind,
        certificate_pem=computer.certificate_pem.decode(),
        authority_pem=vault.authority.certificate_pem.decode(),
        vault_id=vault.vault_id,
        vault_key=vault.public_key_bytes,
    )
