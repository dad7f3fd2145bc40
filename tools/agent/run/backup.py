"""One run of a job: keys, begin, the pipeline, commit, and what the agent remembers afterwards."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing, nullcontext
from typing import TypeVar

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.messages import AgentJob, AgentJobsAnswer, AgentJobsRequest, JobDefinition, RunEndRequest
from tools.agent.cache.belonging import Base, belonging_of
from tools.agent.cache.cache import Cache
from tools.agent.history.chain import Chain
from tools.agent.history.head import newer_head
from tools.agent.hit_files import HitFiles
from tools.agent.keys.job_keys import load_job_keys, require_secret
from tools.agent.keys.job_trust import check_job
from tools.agent.missed import Missed
from tools.agent.run.agent import Agent
from tools.agent.run.begun_run import BegunRun, RunEnded, begin_run, raise_if_over, record_maker
from tools.agent.run.commit import Committer, RootRefused
from tools.agent.run.feed import Feed, SoFar
from tools.agent.run.pipeline import Listener, Pipeline, Sent, Stages
from tools.agent.run.resume import take_up
from tools.agent.run.run import Contents, Run, payload_of, root_of
from tools.agent.run.run_end import Done, done_of, end_done, end_failed, end_request, figures_of, figures_so_far
from tools.agent.run.run_journal import RunJournal
from tools.agent.scan.count_ahead import CountAhead
from tools.agent.scan.included import Included
from tools.agent.scan.scan import ScanKeys, Scanner
from tools.agent.scan.scan_figures import ScanFigures
from tools.agent.scan.walk import TreeWalk
from tools.agent.selection import Selection, make_selection
from tools.agent.state import KnownHead
from tools.agent.upload.outgoing import RecordMaker
from tools.agent.upload.send import ALL_UNASKED, UNASKED_BYTES
from tools.agent.upload.upload import KeyRefused
from tools.agent.vault.lost_connection import is_lost
from tools.client.failure import Failure, first_cause
from tools.client.job_options import EXCLUDE_CACHES, decode_options
from tools.client.keyring import Unattended, file_hash_key, link_set_key, manifest_cut_key
from tools.client.offload import compute
from tools.client.record_format import RecordType, chunk_id
from tools.client.root import encode_payload, sign_root
from tools.client.terminal_text import escape_path

_CACHE_HINT = "check the disk of the state directory and its room"

_Kind = TypeVar("_Kind", bound=BaseException)
Tell = Callable[[str, ScanFigures], None]


async def back_up(agent: Agent, job: AgentJob, tell: Tell) -> Done:
    """Runs the job; the caller holds the lock of the state directory.

    Where the vault refuses the root, it does not hold what the cache says: one more run offers everything. Where it has
    given up the run's key, or takes no more keys for it, one more run makes another.
    """
    check_job(agent.state, agent.identity, job)
    known = agent.state.job(job.job_id).load_head()  # before anything becomes a safeset that the job cannot know of
    is_over = await Committer(agent.session, agent.identity, agent.state.job(job.job_id), job.job_id).settle()
    if (is_keyring_new := job.keyring_id is None):
        agent.session.expect_bulk()
    keys = await load_job_keys(agent.session, agent.state, agent.identity, job)
    try:
        return await _run_once(agent, job, known, keys, tell, is_over=is_over, is_keyring_new=is_keyring_new)
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
    done = await _run_once(agent, job, known, newer or keys, tell)
    done.notes.append(note)
    return done


async def _newer_keys(
    agent: Agent, job: AgentJob, keys: Unattended, error: Exception
) -> tuple[AgentJob, Unattended | None]:
    """The job as it is now, with its newer keys where a rotation ended the run; else as it was, and none."""
    refused = _found(error, RootRefused) or _found(error, RunEnded) or _found(error, KeyRefused)
    cause = _found(error, RemoteProtocolError) or refused
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


async def _run_once(
    agent: Agent,
    job: AgentJob,
    known: KnownHead | None,
    keys: Unattended,
    tell: Tell,
    *,
    is_over: bool = False,
    is_keyring_new: bool = False,
) -> Done:
    """`known`: the head when the vault told of the job; there may be later ones, which a run's begin must know of.
    `is_over`: the safeset of the run before is there, and the run with it, although its answer was lost.
    `is_keyring_new`: it was made for this run, so the vault has nothing of it.
    """
    job_state = agent.state.job(job.job_id)
    chain = Chain(agent.session, job_state, keys, job.job_id, bytes.fromhex(agent.identity.computer_id))
    head = newer_head(await chain.follow(known, job), job_state.load_head())
    job_state.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    belonging = belonging_of(keys, job.job_id, job.timeline)
    cache = Cache(job_state.cache_path, belonging)
    with closing(cache), closing(await compute(RunJournal, job_state.journal_path, belonging)) as journal:
        if is_over:
            journal.end_run()
        begun = await begin_run(agent, job, keys, cache, journal)
        run = begun.run
        try:
            await chain.follow(head, begun.answer)
            return await _run(agent, begun, cache, journal, tell, is_keyring_new=is_keyring_new)
        except BaseException as error:
            if isinstance(error, Exception) and (refused := _found(error, RootRefused)) is not None:
                await raise_if_over(agent, run, journal, refused)
            if not is_lost(error):
                journal.end_run()
                await end_failed(agent.session, run.run_id, error)
            if isinstance(error, Exception) and _found(error, RootRefused) is not None:
                cache.drop()
                journal.remove()
            _raise_for(error, cache)
            raise


def _raise_for(error: BaseException, cache: Cache) -> None:
    """What a person should read of it, or what begins the run anew."""
    for kind in (RootRefused, KeyRefused):
        if isinstance(error, Exception) and (refused := _found(error, kind)) is not None:
            raise refused from error
    if (failed := _found(error, sqlite3.Error)) is not None:
        raise _cache_failed(cache, failed) from error


async def _run(
    agent: Agent, begun: BegunRun, cache: Cache, journal: RunJournal, tell: Tell, *, is_keyring_new: bool
) -> Done:
    run = begun.run
    unasked_bytes = ALL_UNASKED if is_keyring_new else _unasked_bytes(cache, journal)
    hit = await take_up(agent.session, run.run_id, journal, cache)
    maker = await record_maker(agent, begun, journal)
    missed = Missed()
    await compute(cache.choose_bundles)
    scanner = _scanner(agent, run, cache, missed, hit)
    cache.begin()
    feed = Feed(manifest_cut_key(run.keys.id_key), maker, cache, missed, journal)

    async def commit_so_far(so_far: SoFar, sent: Sent) -> None:
        contents = Contents(so_far.manifest, figures_so_far(so_far, sent, missed), tuple(missed.kept), False)
        await _commit(agent, run, maker, contents)

    listener = Listener(lambda: tell("backing up", scanner.figures), commit_so_far)
    stages = Stages(scanner, maker, feed, journal, unasked_bytes)
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
    return await _finish(agent, run, maker, cache, journal, done_of(run, scanner.figures, sent, missed, hit))


def _unasked_bytes(cache: Cache, journal: RunJournal) -> int:
    """None where the vault may have what this agent does not know of: what a run sent that was broken off before it
    could write that down, or what a cache that is lost named.
    """
    is_bound = cache.base is not None and not cache.is_unbound
    return UNASKED_BYTES if is_bound and not journal.was_left else 0


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


def _scanner(agent: Agent, run: Run, cache: Cache, missed: Missed, hit: HitFiles) -> Scanner:
    selection = _selection(agent, run.job.definition)
    expected = agent.state.job(run.job.job_id).load_expected()
    is_unsure = expected is None and not cache.has_rows and run.head.sequence > 0
    included = Included(selection, expected, cache.holds, cache.children, is_unsure=is_unsure)
    walk = TreeWalk(selection, agent.state.path, missed.add, included)
    id_key = run.keys.id_key
    keys = ScanKeys(file_hash_key(id_key), link_set_key(id_key), run.keys.chunker_seed)
    return Scanner(walk, cache, keys, missed, agent.state.path, hit)


async def _finish(agent: Agent, run: Run, maker: RecordMaker, cache: Cache, journal: RunJournal, done: Done) -> Done:
    manifest = done.sent.manifest
    contents = Contents(manifest, figures_of(done), tuple(done.missed.kept), True)
    end = end_request(run, done)
    committer, hash = await _commit(agent, run, maker, contents, done.notes, end)
    # From here on the safeset exists: nothing makes the run a failure any more. With a crash between head and cache the
    # next run only reads more.
    await compute(cache.commit, Base(hash, manifest.top_block, manifest.top_companion, manifest.level))
    journal.remove()
    if cache.failure is not None:
        done.notes.append(f"the cache could not be written, the next run reads more: {cache.failure}; {_CACHE_HINT}")
        if cache.is_damaged:
            await compute(cache.drop)
    if not await committer.wait_ended():
        await end_done(agent.session, end, done)
    return done


async def _commit(
    agent: Agent, run: Run, maker: RecordMaker, contents: Contents, notes: list[str] | None = None,
    end: RunEndRequest | None = None,
) -> tuple[Committer, bytes]:  # fmt: skip
    """Makes the next safeset of the job; its root hash. The answer to `end` is still to come."""
    payload = encode_payload(payload_of(run, agent.identity, contents))
    id = chunk_id(run.keys.id_key, RecordType.ROOT, payload)
    sealed = maker.sealer.seal(RecordType.ROOT, id, payload)
    root = root_of(run, agent.identity, contents, sealed.cid)
    committer = Committer(agent.session, agent.identity, agent.state.job(run.job.job_id), run.job.job_id)
    signed = sign_root(root, run.keys.signing_seed, run.keys.minimum_suite)
    hash = await committer.commit(root, signed, sealed.record, end)
    run.head.sequence, run.head.hash = root.sequence, hash
    if notes is not None:
        notes.extend(committer.notes)
    return committer, hash


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
