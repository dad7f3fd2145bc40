"""Safesets: commit, find again, the chain of roots, list."""

from protocol import messages as m
from protocol.limits import ROOT_BYTES, ROOTS_MAX, SAFESETS_PAGE
from vaultd import metrics, offload
from vaultd.errors import BadRequest
from vaultd.operations import safesets
from vaultd.operations.safeset_roots import roots_after
from vaultd.server import answers
from vaultd.server.request import Reply, Request

PREPARED_MAX = 3  # times in a walk thread; where damage is met beside each, the write thread looks itself


async def commit(request: Request) -> m.SafesetCommitAnswer:
    """What the safeset needs is looked up in a walk thread, again where damage was met meanwhile; the write thread only
    compares the head and the count of damage.
    """
    raw = bytes(request.raw)
    if len(raw) <= ROOT_BYTES:
        raise BadRequest(f"the raw part has {len(raw)} bytes, a root ({ROOT_BYTES}) and a payload record are more")
    for tried in range(1, PREPARED_MAX + 1):
        prepared = await offload.walk(
            safesets.prepare,
            request.vault,
            request.identity,
            request.message.run_id,
            raw[:ROOT_BYTES],
            raw[ROOT_BYTES:],
        )
        if isinstance(prepared, safesets.Committed):
            return answers.answer(prepared, m.SafesetCommitAnswer)
        commit_it = safesets.commit_unless_stale if tried < PREPARED_MAX else safesets.commit
        committed = await offload.write(commit_it, request.vault, request.identity, prepared)
        if committed is not None:
            break
    assert committed is not None
    metrics.SAFESETS_COMMITTED.inc()
    return answers.answer(committed, m.SafesetCommitAnswer)


async def find(request: Request) -> m.SafesetFindAnswer:
    message: m.SafesetFindRequest = request.message
    found = await offload.read(safesets.find, request.vault, request.identity, message.job_id, message.root_hash)
    return answers.answer(found, m.SafesetFindAnswer)


async def roots(request: Request) -> Reply:
    message: m.SafesetRootsRequest = request.message
    found = await offload.read(roots_after, request.vault, request.identity, message.job_id, message.after, ROOTS_MAX)
    return Reply(m.SafesetRootsAnswer(), found)


async def list_all(request: Request) -> m.SafesetListAnswer:
    message: m.SafesetListRequest = request.message
    found = await offload.read(
        safesets.list_page, request.vault, request.identity, message.computer, message.job, message.after, SAFESETS_PAGE
    )
    return m.SafesetListAnswer([answers.answer(safeset, m.SafesetSummary) for safeset in found.safesets], found.next)
