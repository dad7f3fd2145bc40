"""Runs of the caller's own jobs."""

from protocol import messages as m
from vaultd import offload
from vaultd.operations import dead_keys, runs, safesets
from vaultd.records import Figures
from vaultd.server import answers
from vaultd.server.request import Request
from vaultd.server.run_progress import Told


async def begin(request: Request) -> m.RunBeginAnswer:
    """The base is looked up in a read thread; the write thread only begins the run."""
    message: m.RunBeginRequest = request.message
    base = message.base
    await _settle_keys(request, message.job_id)
    if base is not None:
        is_whole = await offload.walk(safesets.is_whole_base, request.vault, request.identity, message.job_id, base)
        base = base if is_whole else None
    begun = await offload.write(runs.begin, request.vault, request.identity, message.job_id, message.run_id, base)
    request.service.progress.forget_job(message.job_id)
    return answers.answer(begun, m.RunBeginAnswer)


async def _settle_keys(request: Request, job_id: bytes) -> None:
    """Page by page: other runs and writes come between."""
    vault, identity = request.vault, request.identity
    await offload.walk(dead_keys.check_slots, vault, identity, job_id)
    start: bytes | None = b""
    while start is not None:
        judged = await offload.walk(dead_keys.judge_keys, vault, identity, job_id, start)
        if judged.dead or judged.back:
            await offload.write(dead_keys.settle_keys, vault, identity, job_id, judged)
        start = judged.next


async def add_key(request: Request) -> m.RunKeyAnswer:
    message: m.RunKeyRequest = request.message
    await offload.write(runs.add_key, request.vault, request.identity, message.run_id, message.sealed_key)
    return m.RunKeyAnswer()


async def tell_progress(request: Request) -> m.RunProgressAnswer:
    """Kept for whoever waits; the catalog hears nothing of it."""
    message: m.RunProgressRequest = request.message
    job_id = await offload.read(runs.job_of_running, request.vault, request.identity, message.run_id)
    now_ns = request.vault.clock.now_ns()
    progress = m.RunProgress(message.files, message.bytes, message.bytes_total, now_ns)
    request.service.progress.tell(job_id, Told(message.run_id, request.session, progress))
    return m.RunProgressAnswer()


async def end(request: Request) -> m.RunEndAnswer:
    message: m.RunEndRequest = request.message
    figures = Figures(message.files, message.new_chunks, message.new_bytes, message.warnings, message.codes)
    job_id = await offload.write(runs.end, request.vault, request.identity, message.run_id, message.outcome, figures)
    request.service.progress.forget_job(job_id)
    return m.RunEndAnswer()
