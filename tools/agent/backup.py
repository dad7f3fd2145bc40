"""One run of a job: keys, begin, the pipeline, commit, and what the agent remembers afterwards."""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing, nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

import trio

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.messages import (
    AgentJob,
    AgentJobsAnswer,
    AgentJobsRequest,
    JobDefinition,
    RunBeginAnswer,
    RunBeginRequest,
    RunEndAnswer,
    RunEndRequest,
    RunKeyAnswer,
    RunKeyRequest,
    RunProgressAnswer,
    RunProgressRequest,
)
from protocol.messages.fields import Outcome
from tools.agent.belonging import Base, belonging_of
from tools.agent.cache import Cache
from tools.agent.chain import Chain
from tools.agent.commit import Committer, RootRefused
from tools.agent.count_ahead import CountAhead
from tools.agent.feed import Feed, SoFar
from tools.agent.included import Included
from tools.agent.job_keys import load_job_keys, require_secret
from tools.agent.job_trust import check_job
from tools.agent.lost_connection import is_lost
from tools.agent.missed import Missed
from tools.agent.outgoing import RecordMaker, make_record_maker
from tools.agent.pipeline import Listener, Pace, Pipeline, Sent, Stages
from tools.agent.resume import take_up
from tools.agent.run import Contents, Head, Run, payload_of, root_of
from tools.agent.run_journal import ResumableRun, RunJournal
from tools.agent.scan import ScanKeys, Scanner
from tools.agent.scan_figures import ScanFigures
from tools.agent.selection import Selection, make_selection
from tools.agent.sent_counts import SentCounts
from tools.agent.state import Identity, StateDirectory
from tools.agent.upload import KeyRefused
from tools.agent.walk import TreeWalk
from tools.client.failure import Failure, describe, first_cause
from tools.client.job_options import EXCLUDE_CACHES, decode_options
from tools.client.keyring import Unattended, file_hash_key, link_set_key, manifest_cut_key
from tools.client.manifest import Kind
from tools.client.offload import compute
from tools.client.record_format import RecordType, chunk_id
from tools.client.root import Figures, encode_payload, sign_root
from tools.client.run_key import NewRunKey, create_run_key
from tools.client.session import VaultSession
from tools.client.terminal_text import escape_path

_END_SECONDS = 5.0
_ENDED_HINT = "what was sent is kept: the next run goes on with it"
_CACHE_HINT = "check the disk of the state directory and its room"

_Kind = TypeVar("_Kind", bound=BaseException)
Tell = Callable[[str, ScanFigures], None]


class RunEnded(Failure):
    """Somebody ended the run at the vault: it was cancelled, or its job or keys are others now."""


@dataclass(slots=True)
class Attempts:
    """What is kept of a run between its connections, in memory alone: its key, and what of it arrived."""

    run_id: bytes = b""
    run_key: NewRunKey | None = None
    counts: SentCounts = field(default_factory=SentCounts)

    @property
    def has_begun(self) -> bool:
        """Whether a run was begun at the vault, so that there is something to go on with."""
        return self.run_key is not None


@dataclass(frozen=True, slots=True)
class Agent:
    """Who backs up: its state, its identity, its session, and whether somebody looks at the progress here."""

    state: StateDirectory
    identity: Identity
    session: VaultSession
    pace: Pace = Pace()
    is_watched: bool = False
    attempts: Attempts = field(default_factory=Attempts)


@dataclass(frozen=True, slots=True)
class Done:
    """What a run tells people at its end; `notes` are about what failed when the safeset was already there."""

    safeset: int
    scanned: ScanFigures
    sent: Sent
    reused_bytes: int
    missed: Missed
    notes: list[str] = field(default_factory=list)


async def back_up(agent: Agent, job: AgentJob, tell: Tell) -> Done:
    """Runs the job; the caller holds the lock of the state directory.

    Where the vault refuses the root, it does not hold what the cache says: one more run offers everything. Where it has
    given up the run's key one more run makes another.
    """
    check_job(agent.state, agent.identity, job)
    is_over = await Committer(agent.session, agent.identity, agent.state.job(job.job_id), job.job_id).settle()
    keys = await load_job_keys(agent.session, agent.state, agent.identity, job)
    try:
        return await _run_once(agent, job, keys, tell, is_over=is_over)
    except Exception as error:
        job, newer = await _newer_keys(agent, job, keys, error)
        if newer is not None:
            note = "the run was begun anew, because the job has other keys now"
        elif isinstance(error, RootRefused):
            note = f"everything was read and offered again, because the vault said: {error.message}"
        elif isinstance(error, KeyRefused):
            note = f"the run was begun anew, because the vault said: {error.message}"
        else:
            raise
    done = await _run_once(agent, job, newer or keys, tell)
    done.notes.append(note)
    return done


async def _newer_keys(
    agent: Agent, job: AgentJob, keys: Unattended, error: Exception
) -> tuple[AgentJob, Unattended | None]:
    """The job as it is now, with its newer keys where a rotation ended the run; else as it was, and none."""
    cause = _found(error, RemoteProtocolError) or _found(error, RootRefused) or _found(error, RunEnded)
    if cause is None or cause.code != ErrorCode.conflict:
        return job, None
    answer, _ = await agent.session.ask("agent.jobs", AgentJobsRequest(), AgentJobsAnswer)
    for now in answer.jobs:
        is_it = (now.job_id, now.keyring_id) == (job.job_id, keys.keyring_id)
        if is_it and (now.secret or now.secret_lost) is not None:
            require_secret(now)
            check_job(agent.state, agent.identity, now)
            newer = await load_job_keys(agent.session, agent.state, agent.identity, now)
            return (now, newer) if newer.generation > keys.generation else (job, None)
    return job, None


async def _run_once(agent: Agent, job: AgentJob, keys: Unattended, tell: Tell, *, is_over: bool = False) -> Done:
    """`is_over`: the safeset of the run before is there, and the run with it, although its answer was lost."""
    job_state = agent.state.job(job.job_id)
    chain = Chain(agent.session, job_state, keys, job.job_id, bytes.fromhex(agent.identity.computer_id))
    head = await chain.follow(job_state.load_head(), job)
    job_state.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    belonging = belonging_of(keys, job.job_id, job.timeline)
    cache = Cache(job_state.cache_path, belonging)
    with closing(cache), closing(await compute(RunJournal, job_state.journal_path, belonging)) as journal:
        if is_over:
            journal.end_run()
        run, begin = await _begin(agent, job, keys, cache, journal)
        try:
            await chain.follow(head, begin)
            return await _run(agent, run, cache, journal, tell)
        except BaseException as error:
            if isinstance(error, Exception) and (refused := _found(error, RootRefused)) is not None:
                await _raise_if_over(agent, run, journal, refused)
            if not is_lost(error):
                journal.end_run()
                await _end_failed(agent, run, error)
            if isinstance(error, Exception) and _found(error, RootRefused) is not None:
                cache.drop()
                journal.remove()
            _raise_for(error, cache)
            raise


async def _raise_if_over(agent: Agent, run: Run, journal: RunJournal, refused: RootRefused) -> None:
    """Where somebody ended the run at the vault, its root is no fault of the cache, and nobody wants another run."""
    try:
        await agent.session.ask("run.progress", RunProgressRequest(run.run_id, 0, 0), RunProgressAnswer)
    except RemoteProtocolError as error:
        if error.code == ErrorCode.not_found:
            journal.end_run()
            raise RunEnded(refused.code, refused.message, _ENDED_HINT) from refused


def _raise_for(error: BaseException, cache: Cache) -> None:
    """What a person should read of it, or what begins the run anew."""
    for kind in (RootRefused, KeyRefused):
        if isinstance(error, Exception) and (refused := _found(error, kind)) is not None:
            raise refused from error
    if (failed := _found(error, sqlite3.Error)) is not None:
        raise _cache_failed(cache, failed) from error


async def _begin(
    agent: Agent, job: AgentJob, keys: Unattended, cache: Cache, journal: RunJournal
) -> tuple[Run, RunBeginAnswer]:
    """Goes on with the run that was broken off, where the vault still takes it and the base is the same."""
    base = cache.base.root_hash if cache.base else None
    asked = ResumableRun(os.urandom(16), base)
    if journal.run is not None and journal.run.base == base:
        asked = journal.run
    begin_ns = time.time_ns()
    try:
        begin, _ = await agent.session.ask("run.begin", RunBeginRequest(job.job_id, asked.run_id, base), RunBeginAnswer)
    except RemoteProtocolError as error:
        if error.code != ErrorCode.conflict or asked != journal.run:
            raise
        journal.end_run()
        if asked.run_id == agent.attempts.run_id:  # it was ended while the connection was lost
            raise RunEnded(error.code, error.message, _ENDED_HINT) from None
        asked = ResumableRun(os.urandom(16), base)
        begin, _ = await agent.session.ask("run.begin", RunBeginRequest(job.job_id, asked.run_id, base), RunBeginAnswer)
    if not begin.base_known or begin.timeline != job.timeline:
        cache.drop()
        asked = asked._replace(base=None)
    journal.begin(asked)
    head = Head(begin.timeline, begin.head_sequence, begin.head_hash)
    return Run(asked.run_id, job, keys, head, begin_ns), begin


async def _run(agent: Agent, run: Run, cache: Cache, journal: RunJournal, tell: Tell) -> Done:
    await take_up(agent.session, run.run_id, journal, cache)
    maker = await _record_maker(agent, run)
    missed = Missed()
    await compute(cache.choose_bundles)
    scanner = _scanner(agent, run, cache, missed)
    cache.begin()
    feed = Feed(manifest_cut_key(run.keys.id_key), maker, cache, missed, journal)

    async def commit_so_far(so_far: SoFar, sent: Sent) -> None:
        contents = Contents(so_far.manifest, _figures_so_far(so_far, sent, missed), tuple(missed.kept), False)
        await _commit(agent, run, maker, contents)

    listener = Listener(lambda: tell("backing up", scanner.figures), commit_so_far)
    stages = Stages(scanner, maker, feed, journal)
    pipeline = Pipeline(agent.session, run.run_id, stages, listener, agent.attempts.counts, agent.pace)
    async with _counting_ahead(agent, run.job, scanner.figures):
        sent = await pipeline.run()
    if not scanner.has_found_a_root:
        raise Failure(
            "not_found",
            f"none of the job's included paths is there; the first is {escape_path(run.job.definition.include[0])}",
            "are all disks mounted? else create another job",
        )
    # Before the root, so that no safeset is without it: an answer may be lost.
    agent.state.job(run.job.job_id).save_expected(scanner.seen)
    return await _finish(agent, run, maker, cache, journal, _done(run, scanner.figures, sent, missed))


async def _record_maker(agent: Agent, run: Run) -> RecordMaker:
    """Under a key of this process: the same one on every connection of the run."""
    attempts = agent.attempts
    if attempts.run_key is None or attempts.run_id != run.run_id:
        attempts.run_key = await compute(create_run_key, run.keys, run.job.job_id, run.run_id)
        attempts.run_id, attempts.counts = run.run_id, SentCounts()
    run_key, definition = attempts.run_key, run.job.definition
    await agent.session.ask("run.key", RunKeyRequest(run.run_id, run_key.sealed), RunKeyAnswer)
    return make_record_maker(run.keys, run_key, definition.suite, definition.compression)


def _done(run: Run, scanned: ScanFigures, sent: Sent, missed: Missed) -> Done:
    reused_bytes = max(0, scanned.protected_bytes - sent.content_bytes)
    return Done(run.head.sequence + 1, scanned, sent, reused_bytes, missed)


def _counting_ahead(agent: Agent, job: AgentJob, figures: ScanFigures) -> AbstractAsyncContextManager[None]:
    # Only for somebody who looks: where little is new the walk is most of the work, and this one is another.
    if not (agent.is_watched or job.run_requested):
        return nullcontext()
    walk = TreeWalk(_selection(agent, job.definition), agent.state.path, lambda path, code: None)
    return CountAhead(walk, figures).beside()


def _selection(agent: Agent, definition: JobDefinition) -> Selection:
    options = decode_options(definition.options)
    return make_selection(
        definition.include,
        definition.exclude,
        definition.one_file_system,
        agent.state.path,
        exclude_caches=EXCLUDE_CACHES in options,
    )


def _scanner(agent: Agent, run: Run, cache: Cache, missed: Missed) -> Scanner:
    selection = _selection(agent, run.job.definition)
    expected = agent.state.job(run.job.job_id).load_expected()
    is_unsure = expected is None and cache.base is None and run.head.sequence > 0
    included = Included(selection, expected, cache.holds, cache.children, is_unsure=is_unsure)
    walk = TreeWalk(selection, agent.state.path, missed.add, included)
    id_key = run.keys.id_key
    keys = ScanKeys(file_hash_key(id_key), link_set_key(id_key), run.keys.chunker_seed)
    return Scanner(walk, cache, keys, missed, agent.state.path)


async def _finish(agent: Agent, run: Run, maker: RecordMaker, cache: Cache, journal: RunJournal, done: Done) -> Done:
    manifest = done.sent.manifest
    contents = Contents(manifest, _figures(done), tuple(done.missed.kept), True)
    hash = await _commit(agent, run, maker, contents, done.notes)
    # From here on the safeset exists: nothing makes the run a failure any more. With a crash between head and cache the
    # next run only reads more.
    await compute(cache.commit, Base(hash, manifest.top_block, manifest.top_companion, manifest.level))
    journal.remove()
    if cache.failure is not None:
        done.notes.append(f"the cache could not be written, the next run reads more: {cache.failure}; {_CACHE_HINT}")
        if cache.is_damaged:
            await compute(cache.drop)
    await _end_done(agent, run, done)
    return done


async def _commit(
    agent: Agent, run: Run, maker: RecordMaker, contents: Contents, notes: list[str] | None = None
) -> bytes:
    """Makes the next safeset of the job; its root hash."""
    payload = encode_payload(payload_of(run, agent.identity, contents))
    id = chunk_id(run.keys.id_key, RecordType.ROOT, payload)
    sealed = maker.sealer.seal(RecordType.ROOT, id, payload)
    root = root_of(run, agent.identity, contents, sealed.cid)
    committer = Committer(agent.session, agent.identity, agent.state.job(run.job.job_id), run.job.job_id)
    hash = await committer.commit(root, sign_root(root, run.keys.signing_seed, run.keys.minimum_suite), sealed.record)
    run.head.sequence, run.head.hash = root.sequence, hash
    if notes is not None:
        notes.extend(committer.notes)
    return hash


def _figures(done: Done) -> Figures:
    scanned, sent = done.scanned, done.sent
    return Figures(
        scanned.files, scanned.directories, scanned.others, scanned.protected_bytes, sent.records, sent.record_bytes,
        done.reused_bytes, done.missed.count,
    )  # fmt: skip


def _figures_so_far(so_far: SoFar, sent: Sent, missed: Missed) -> Figures:
    """Of what is in it; the names of a file with several count each."""
    kinds, manifest = so_far.kinds, so_far.manifest
    files, directories = kinds[Kind.FILE], kinds[Kind.DIRECTORY]
    reused_bytes = max(0, manifest.content_bytes - sent.content_bytes)
    return Figures(
        files, directories, kinds.total() - files - directories, manifest.content_bytes, sent.records,
        sent.record_bytes, reused_bytes, missed.count,
    )  # fmt: skip


async def _end_done(agent: Agent, run: Run, done: Done) -> None:
    try:
        await agent.session.ask("run.end", _end_request(run, done), RunEndAnswer)
    except Exception as error:
        done.notes.append(f"the vault did not hear that the run is over: {describe(error).message}")


def _end_request(run: Run, done: Done) -> RunEndRequest:
    outcome: Outcome = "warnings" if done.missed.count else "done"
    return RunEndRequest(
        run.run_id, outcome, done.scanned.files, done.sent.records, done.sent.record_bytes, done.missed.count,
        dict(done.missed.codes),
    )  # fmt: skip


def _found(error: BaseException, kind: type[_Kind]) -> _Kind | None:
    """Also where another task of the run failed at the same time."""
    of_kind = error.subgroup(kind) if isinstance(error, BaseExceptionGroup) else error
    cause = None if of_kind is None else first_cause(of_kind)
    return cause if isinstance(cause, kind) else None


def _cache_failed(cache: Cache, error: BaseException) -> Failure:
    cache.drop()
    return Failure(
        "failed",
        f"the cache in the agent's state failed: {error}",
        f"it was dropped; {_CACHE_HINT} and run the backup again",
    )


async def _end_failed(agent: Agent, run: Run, error: BaseException) -> None:
    """Tells the vault that the run is over. Shielded, with a deadline: the connection may be what failed."""
    outcome: Outcome = "failed" if isinstance(error, Exception) else "aborted"
    with trio.move_on_after(_END_SECONDS) as scope:
        scope.shield = True
        try:
            request = RunEndRequest(run.run_id, outcome, 0, 0, 0, 0, {})
            await agent.session.ask("run.end", request, RunEndAnswer)
        except Exception:
            return
