"""What people's programs ask a vault: one typed function per method."""

from typing import TypeVar

import msgspec

from protocol import messages as m
from protocol.messages.fields import ComputerKind
from protocol.messages.retention import OverLimit
from tools.client.session import VaultSession

Answer = TypeVar("Answer", bound=msgspec.Struct)


async def create_account(session: VaultSession, name: str) -> m.AccountCreateAnswer:
    return await _answer(session, "account.create", m.AccountCreateRequest(name), m.AccountCreateAnswer)


async def list_accounts(session: VaultSession) -> m.AccountListAnswer:
    return await _answer(session, "account.list", m.AccountListRequest(), m.AccountListAnswer)


async def show_account(session: VaultSession, name: str) -> m.AccountShowAnswer:
    return await _answer(session, "account.show", m.AccountShowRequest(name), m.AccountShowAnswer)


async def vault_status(session: VaultSession) -> m.VaultStatus:
    return await _answer(session, "vault.status", m.VaultStatusRequest(), m.VaultStatus)


async def accept_clock(session: VaultSession) -> m.ClockAcceptAnswer:
    return await _answer(session, "clock.accept", m.ClockAcceptRequest(), m.ClockAcceptAnswer)


async def start_collection(session: VaultSession, *, is_trial: bool) -> m.CollectionStartAnswer:
    request = m.CollectionStartRequest(is_trial)
    return await _answer(session, "collection.start", request, m.CollectionStartAnswer)


async def collection_state(session: VaultSession, number: int) -> m.CollectionStateAnswer:
    return await _answer(session, "collection.state", m.CollectionStateRequest(number), m.CollectionStateAnswer)


async def list_disks(session: VaultSession) -> m.DiskListAnswer:
    return await _answer(session, "disk.list", m.DiskListRequest(), m.DiskListAnswer)


async def hits_of_disk(session: VaultSession, disk: str) -> list[m.SafesetHit]:
    """All, by account and job, a page after the other."""
    page = await _answer(session, "disk.hit", m.DiskHitRequest(disk), m.DiskHitAnswer)
    hits = list(page.hits)
    while page.next is not None:
        page = await _answer(session, "disk.hit", m.DiskHitRequest(disk, page.next), m.DiskHitAnswer)
        hits += page.hits
    return hits


async def lose_disk(session: VaultSession, disk: str, *, undo: bool) -> m.DiskSummary:
    answer = await _answer(session, "disk.lost", m.DiskLostRequest(disk, undo), m.DiskLostAnswer)
    return answer.disk


async def begin_scrub(session: VaultSession) -> int:
    """The number of the pass."""
    answer = await _answer(session, "scrub.begin", m.ScrubBeginRequest(), m.ScrubBeginAnswer)
    return answer.number


async def scrub_state(session: VaultSession) -> m.ScrubStateAnswer:
    return await _answer(session, "scrub.state", m.ScrubStateRequest(), m.ScrubStateAnswer)


async def hits_of_damage(session: VaultSession) -> list[m.SafesetHit]:
    """All, by account and job, a page after the other."""
    page = await _answer(session, "scrub.hit", m.ScrubHitRequest(), m.ScrubHitAnswer)
    hits = list(page.hits)
    while page.next is not None:
        page = await _answer(session, "scrub.hit", m.ScrubHitRequest(page.next), m.ScrubHitAnswer)
        hits += page.hits
    return hits


async def invite_computer(
    session: VaultSession, kind: ComputerKind | None, replace: str | None = None
) -> m.ComputerInviteAnswer:
    return await _answer(session, "computer.invite", m.ComputerInviteRequest(kind, replace), m.ComputerInviteAnswer)


async def list_computers(session: VaultSession) -> m.ComputerListAnswer:
    return await _answer(session, "computer.list", m.ComputerListRequest(), m.ComputerListAnswer)


async def show_computer(session: VaultSession, computer: str) -> m.ComputerShowAnswer:
    return await _answer(session, "computer.show", m.ComputerShowRequest(computer), m.ComputerShowAnswer)


async def remove_computer(session: VaultSession, computer: str) -> m.ComputerRemoveAnswer:
    return await _answer(session, "computer.remove", m.ComputerRemoveRequest(computer), m.ComputerRemoveAnswer)


async def distrust_computer(session: VaultSession, request: m.ComputerDistrustRequest) -> m.ComputerDistrustAnswer:
    return await _answer(session, "computer.distrust", request, m.ComputerDistrustAnswer)


async def leaning_safesets(session: VaultSession, about: m.ComputerDistrustRequest) -> list[m.LeaningSafeset]:
    """All, by job, a page after the other."""
    request = m.ComputerLeaningRequest(about.computer, about.since_ns)
    page = await _answer(session, "computer.leaning", request, m.ComputerLeaningAnswer)
    safesets = list(page.safesets)
    while page.next is not None:
        request = m.ComputerLeaningRequest(about.computer, about.since_ns, page.next)
        page = await _answer(session, "computer.leaning", request, m.ComputerLeaningAnswer)
        safesets += page.safesets
    return safesets


async def create_job(session: VaultSession, request: m.JobCreateRequest) -> m.JobCreateAnswer:
    return await _answer(session, "job.create", request, m.JobCreateAnswer)


async def list_jobs(session: VaultSession, computer: str) -> m.JobListAnswer:
    return await _answer(session, "job.list", m.JobListRequest(computer), m.JobListAnswer)


async def show_job(session: VaultSession, computer: str, job: str) -> m.JobShowAnswer:
    return await _answer(session, "job.show", m.JobShowRequest(computer, job), m.JobShowAnswer)


async def run_job(session: VaultSession, computer: str, job: str) -> m.JobRunAnswer:
    return await _answer(session, "job.run", m.JobRunRequest(computer, job), m.JobRunAnswer)


async def job_request(session: VaultSession, computer: str, job: str, request: int) -> m.JobRequestAnswer:
    return await _answer(session, "job.request", m.JobRequestRequest(computer, job, request), m.JobRequestAnswer)


async def cancel_job(session: VaultSession, computer: str, job: str) -> m.JobCancelAnswer:
    return await _answer(session, "job.cancel", m.JobCancelRequest(computer, job), m.JobCancelAnswer)


async def remove_job(session: VaultSession, computer: str, job: str) -> m.JobRemoveAnswer:
    return await _answer(session, "job.remove", m.JobRemoveRequest(computer, job), m.JobRemoveAnswer)


async def keyring_parameters(session: VaultSession, computer: str, job: str) -> m.KeyringParametersAnswer:
    request = m.KeyringParametersRequest(computer, job)
    return await _answer(session, "keyring.parameters", request, m.KeyringParametersAnswer)


async def open_keyring(session: VaultSession, request: m.KeyringOpenRequest) -> list[bytes]:
    """The readable copies of the slot."""
    return list((await _answer(session, "keyring.open", request, m.KeyringOpenAnswer)).slots)


async def change_slots(session: VaultSession, request: m.KeyringSlotsRequest) -> m.KeyringSlotsAnswer:
    return await _answer(session, "keyring.slots", request, m.KeyringSlotsAnswer)


async def list_safesets(session: VaultSession, computer: str, job: str) -> list[m.SafesetSummary]:
    """All, oldest first, a page after the other."""
    page = await _answer(session, "safeset.list", m.SafesetListRequest(computer, job), m.SafesetListAnswer)
    safesets = list(page.safesets)
    while page.next is not None:
        request = m.SafesetListRequest(computer, job, page.next)
        page = await _answer(session, "safeset.list", request, m.SafesetListAnswer)
        safesets += page.safesets
    return safesets


async def grant_safesets(session: VaultSession, computer: str, job: str, to: str, days: int) -> m.GrantSummary:
    request = m.SafesetGrantRequest(computer, job, to, days)
    return (await _answer(session, "safeset.grant", request, m.SafesetGrantAnswer)).grant


async def list_grants(session: VaultSession) -> list[m.GrantSummary]:
    return (await _answer(session, "safeset.grants", m.SafesetGrantsRequest(), m.SafesetGrantsAnswer)).grants


async def revoke_grant(session: VaultSession, computer: str, job: str, to: str) -> m.SafesetRevokeAnswer:
    request = m.SafesetRevokeRequest(computer, job, to)
    return await _answer(session, "safeset.revoke", request, m.SafesetRevokeAnswer)


async def list_retention(session: VaultSession) -> m.RetentionListAnswer:
    return await _answer(session, "retention.list", m.RetentionListRequest(), m.RetentionListAnswer)


async def set_retention(session: VaultSession, name: str, days: int, copies: int) -> m.RetentionSummary:
    request = m.RetentionSetRequest(name, days, copies)
    return (await _answer(session, "retention.set", request, m.RetentionSetAnswer)).type


async def confirm_retention(session: VaultSession, name: str) -> m.RetentionSummary:
    request = m.RetentionConfirmRequest(name)
    return (await _answer(session, "retention.confirm", request, m.RetentionConfirmAnswer)).type


async def limit_retention(session: VaultSession, over_limit: OverLimit) -> m.LimitSummary:
    request = m.RetentionLimitRequest(over_limit)
    return (await _answer(session, "retention.limit", request, m.RetentionLimitAnswer)).limit


async def confirm_retention_limit(session: VaultSession) -> m.LimitSummary:
    request = m.RetentionConfirmLimitRequest()
    return (await _answer(session, "retention.confirm_limit", request, m.RetentionConfirmLimitAnswer)).limit


async def simulate_retention(session: VaultSession, computer: str, job: str) -> list[m.SimulatedSafeset]:
    request = m.RetentionSimulateRequest(computer, job)
    return (await _answer(session, "retention.simulate", request, m.RetentionSimulateAnswer)).safesets


async def pin_safeset(session: VaultSession, computer: str, job: str, number: int, reason: str) -> m.SafesetPinAnswer:
    request = m.SafesetPinRequest(computer, job, number, reason)
    return await _answer(session, "safeset.pin", request, m.SafesetPinAnswer)


async def unpin_safeset(session: VaultSession, computer: str, job: str, number: int) -> m.SafesetUnpinAnswer:
    request = m.SafesetUnpinRequest(computer, job, number)
    return await _answer(session, "safeset.unpin", request, m.SafesetUnpinAnswer)


async def delete_safeset(session: VaultSession, computer: str, job: str, number: int) -> m.SafesetDeleteAnswer:
    request = m.SafesetDeleteRequest(computer, job, number)
    return await _answer(session, "safeset.delete", request, m.SafesetDeleteAnswer)


async def undelete_safeset(
    session: VaultSession, computer: str, job: str, number: int, reason: str
) -> m.SafesetUndeleteAnswer:
    request = m.SafesetUndeleteRequest(computer, job, number, reason)
    return await _answer(session, "safeset.undelete", request, m.SafesetUndeleteAnswer)


async def list_ended(session: VaultSession, computer: str, job: str) -> list[m.EndedSafeset]:
    request = m.SafesetEndedRequest(computer, job)
    return (await _answer(session, "safeset.ended", request, m.SafesetEndedAnswer)).safesets


async def freeze_job(session: VaultSession, computer: str, job: str, reason: str | None) -> m.JobFreezeAnswer:
    return await _answer(session, "job.freeze", m.JobFreezeRequest(computer, job, reason), m.JobFreezeAnswer)


async def order_restore(session: VaultSession, request: m.RestoreOrderRequest) -> m.RestoreOrderAnswer:
    return await _answer(session, "restore.order", request, m.RestoreOrderAnswer)


async def list_restores(session: VaultSession) -> list[m.RestoreOrderSummary]:
    return (await _answer(session, "restore.orders", m.RestoreOrdersRequest(), m.RestoreOrdersAnswer)).orders


async def restore_state(session: VaultSession, number: int) -> m.RestoreStateAnswer:
    return await _answer(session, "restore.state", m.RestoreStateRequest(number), m.RestoreStateAnswer)


async def cancel_restore(session: VaultSession, number: int) -> m.RestoreOrderSummary:
    return (await _answer(session, "restore.cancel", m.RestoreCancelRequest(number), m.RestoreCancelAnswer)).order


async def _answer(session: VaultSession, method: str, request: msgspec.Struct, answer_type: type[Answer]) -> Answer:
    """None of these methods has raw bytes beside its answer."""
    answer, _ = await session.ask(method, request, answer_type)
    return answer
