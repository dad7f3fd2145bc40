"""Runs of the caller's own jobs."""

from protocol import messages as m
from vaultd import offload
from vaultd.operations import runs, safesets
from vaultd.records import Figures
from vaultd.server import answers
from vaultd.server.request import Request


async def begin(request: Request) -> m.RunBeginAnswer:
    """The base is looked up in a read thread; the write thread only begins the run."""
    message: m.RunBeginRequest = request.message
    base = message.base
    if base is not None:
        is_whole = await offload.read(safesets.is_whole_base, request.vault, request.identity, message.job_id, base)
        base = base if is_whole else None
    begun = await offload.write(runs.begin, request.vault, request.identity, message.job_id, message.run_id, base)
    return answers.answer(begun, m.RunBeginAnswer)


async def add_key(request: Request) -> m.RunKeyAnswer:
    message: m.RunKeyRequest = request.message
    await offload.write(runs.add_key, request.vault, request.identity, message.run_id, message.sealed_key)
    return m.RunKeyAnswer()


async def end(request: Request) -> m.RunEndAnswer:
    message: m.RunEndRequest = request.message
    figures = Figures(message.files, message.new_chunks, message.new_bytes, message.warnings, message.codes)
    await offload.write(runs.end, request.vault, request.identity, message.run_id, message.outcome, figures)
    return m.RunEndAnswer()
