"""A run from its begin at the vault to its first record: which one it is, on which base, and under which key."""

import os
import time
from dataclasses import dataclass, replace

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.messages import (
    AgentJob,
    RunBeginAnswer,
    RunBeginRequest,
    RunKeyAnswer,
    RunKeyRequest,
    RunProgressAnswer,
    RunProgressRequest,
)
from tools.agent.cache.cache import Cache
from tools.agent.run.agent import Agent
from tools.agent.run.commit import RootRefused
from tools.agent.run.run import Head, Run
from tools.agent.run.run_end import end_failed
from tools.agent.run.run_journal import ResumableRun, RunJournal
from tools.agent.upload.outgoing import RecordMaker, make_record_maker
from tools.agent.upload.upload import KeyRefused
from tools.client.failure import Failure
from tools.client.keyring import Unattended
from tools.client.offload import compute
from tools.client.question import Question
from tools.client.run_key import NewRunKey, create_run_key

_ENDED_HINT = "what was sent is kept: the next run goes on with it"


class RunEnded(Failure):
    """Somebody ended the run at the vault: it was cancelled, or its job or keys are others now."""


@dataclass(frozen=True, slots=True)
class BegunRun:
    """`run_key` is of this process: the same one on every connection of the run. It was sent with the begin, in the
    same round trip; `refusal` is the vault's answer to it where it did not take it.
    """

    run: Run
    answer: RunBeginAnswer
    run_key: NewRunKey
    refusal: RemoteProtocolError | None


async def begin_run(agent: Agent, job: AgentJob, keys: Unattended, cache: Cache, journal: RunJournal) -> BegunRun:
    """Goes on with the run that was broken off, where the vault still takes it and the base is the same."""
    base = cache.base.root_hash if cache.base else None
    asked = ResumableRun(os.urandom(16), base)
    if journal.run is not None and journal.run.base == base:
        asked = journal.run
    begin_ns = time.time_ns()
    try:
        begin, run_key, refusal = await _begin(agent, job, keys, asked)
    except RemoteProtocolError as error:
        if error.code != ErrorCode.conflict or asked != journal.run:
            raise
        journal.end_run()
        if asked.run_id == agent.attempts.run_id:  # it was ended while the connection was lost
            raise RunEnded(error.code, error.message, _ENDED_HINT) from None
        asked = ResumableRun(os.urandom(16), base)
        begin, run_key, refusal = await _begin(agent, job, keys, asked)
    if not begin.base_known:
        cache.unbind()
        asked = asked._replace(base=None)
    journal.begin(asked)
    head = Head(begin.timeline, begin.head_sequence, begin.head_hash)
    return BegunRun(Run(asked.run_id, job, keys, head, begin_ns), begin, run_key, refusal)


async def _begin(
    agent: Agent, job: AgentJob, keys: Unattended, asked: ResumableRun
) -> tuple[RunBeginAnswer, NewRunKey, RemoteProtocolError | None]:
    attempts = agent.attempts
    run_key = attempts.run_key if attempts.run_id == asked.run_id else None
    if run_key is None:
        run_key = await compute(create_run_key, keys, job.job_id, asked.run_id)
    try:
        begin, wait_answered = await agent.session.ask_in_turn(
            Question("run.begin", RunBeginRequest(job.job_id, asked.run_id, asked.base), RunBeginAnswer),
            Question("run.key", RunKeyRequest(asked.run_id, run_key.sealed), RunKeyAnswer),
        )
        key_answer = await wait_answered()
    except BaseException as error:
        if not isinstance(error, Exception):  # cancelled here, while the vault may have begun it
            await end_failed(agent.session, asked.run_id, error)
        raise
    return begin, run_key, None if isinstance(key_answer, RunKeyAnswer) else key_answer


async def record_maker(agent: Agent, begun: BegunRun, journal: RunJournal) -> RecordMaker:
    """What other processes sent of the run counts with what this one sends."""
    attempts, run, run_key = agent.attempts, begun.run, begun.run_key
    if attempts.run_key is None or attempts.run_id != run.run_id:
        attempts.run_key = run_key
        attempts.run_id, attempts.counts = run.run_id, replace(journal.sent)
    if (refusal := begun.refusal) is not None:
        if refusal.code != ErrorCode.conflict or await _is_over(agent, run):
            raise refusal
        raise KeyRefused(refusal.code, refusal.message, refusal.hint)
    definition = run.job.definition
    return make_record_maker(run.keys, run_key, definition.suite, definition.compression)


async def raise_if_over(agent: Agent, run: Run, journal: RunJournal, refused: RootRefused) -> None:
    """Where somebody ended the run at the vault, its root is no fault of the cache, and nobody wants another run."""
    if await _is_over(agent, run):
        journal.end_run()
        raise RunEnded(refused.code, refused.message, _ENDED_HINT) from refused


async def _is_over(agent: Agent, run: Run) -> bool:
    try:
        await agent.session.ask("run.progress", RunProgressRequest(run.run_id, 0, 0), RunProgressAnswer)
    except RemoteProtocolError as error:
        return error.code == ErrorCode.not_found
    return False
