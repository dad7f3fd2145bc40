"""What a run comes to: the figures of its roots, what it tells people at its end, and what it tells the vault."""

from dataclasses import dataclass, field

import trio

from protocol.messages import RunEndAnswer, RunEndRequest
from protocol.messages.fields import Outcome
from tools.agent.hit_files import HitFiles
from tools.agent.missed import Missed
from tools.agent.run.feed import SoFar
from tools.agent.run.pipeline import Sent
from tools.agent.run.run import Run
from tools.agent.scan.scan_figures import ScanFigures
from tools.client.failure import describe
from tools.client.manifest import Kind
from tools.client.root import Figures
from tools.client.session import VaultSession

_END_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Done:
    """What a run tells people at its end; `notes` are about what failed when the safeset was already there."""

    safeset: int
    scanned: ScanFigures
    sent: Sent
    reused_bytes: int
    missed: Missed
    hit: HitFiles
    notes: list[str] = field(default_factory=list)


def done_of(run: Run, scanned: ScanFigures, sent: Sent, missed: Missed, hit: HitFiles) -> Done:
    reused_bytes = max(0, scanned.protected_bytes - sent.content_bytes)
    return Done(run.head.sequence + 1, scanned, sent, reused_bytes, missed, hit)


def figures_of(done: Done) -> Figures:
    scanned, sent = done.scanned, done.sent
    return Figures(
        scanned.files, scanned.directories, scanned.others, scanned.protected_bytes, sent.records, sent.record_bytes,
        done.reused_bytes, done.missed.count,
    )  # fmt: skip


def figures_so_far(so_far: SoFar, sent: Sent, missed: Missed) -> Figures:
    """Of what is in it; the names of a file with several count each."""
    kinds, manifest = so_far.kinds, so_far.manifest
    files, directories = kinds[Kind.FILE], kinds[Kind.DIRECTORY]
    reused_bytes = max(0, manifest.content_bytes - sent.content_bytes)
    return Figures(
        files, directories, kinds.total() - files - directories, manifest.content_bytes, sent.records,
        sent.record_bytes, reused_bytes, missed.count,
    )  # fmt: skip


def end_request(run: Run, done: Done) -> RunEndRequest:
    outcome: Outcome = "warnings" if done.missed.count else "done"
    return RunEndRequest(
        run.run_id, outcome, done.scanned.files, done.sent.records, done.sent.record_bytes, done.missed.count,
        dict(done.missed.codes),
    )  # fmt: skip


async def end_done(session: VaultSession, request: RunEndRequest, done: Done) -> None:
    """Where it did not go with the commit."""
    try:
        await session.ask("run.end", request, RunEndAnswer)
    except Exception as error:
        done.notes.append(f"the vault did not hear that the run is over: {describe(error).message}")


async def end_failed(session: VaultSession, run_id: bytes, error: BaseException) -> None:
    """Tells the vault that the run is over. Shielded, with a deadline: the connection may be what failed."""
    outcome: Outcome = "failed" if isinstance(error, Exception) else "aborted"
    with trio.move_on_after(_END_SECONDS) as scope:
        scope.shield = True
        try:
            await session.ask("run.end", RunEndRequest(run_id, outcome, 0, 0, 0, 0, {}), RunEndAnswer)
        except Exception:
            return
