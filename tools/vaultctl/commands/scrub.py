"""`vaultctl scrub`: everything that is stored is read from the disks and checked, and what damage hits is named."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import click

from protocol import messages as m
from tools.client import calls
from tools.client.documents import document_of
from tools.client.failure import EXIT_OK, EXIT_WARNINGS
from tools.client.program import Command
from tools.client.progress import Figures, Progress
from tools.client.tables import Column, fields_text, table_text
from tools.client.units import count_text, size_text, time_text
from tools.vaultctl.identity import ask_vault, output_of
from tools.vaultctl.polling import answers_until_end

EXIT_DAMAGED = 9
# Damage that was met last is looked for in the safesets when the pass is over.
LOOKS_MAX = 60
_HIT_COLUMNS = (
    Column("ACCOUNT"),
    Column("COMPUTER"),
    Column("JOB"),
    Column("SAFESETS HIT", right=True),
    Column("RECORDS", right=True),
    Column("NUMBERS"),
)
_TO_DO = "hint: run these jobs, which sends again what the computers still have; the log names the disk: look at it"
_IN_DOUBT = "note: whether more safesets are hit is still being looked for: see `vaultctl status`"


@click.command("scrub", cls=Command)
@click.option("--wait", is_flag=True, help="Show how far it is until its end; exit code 9 where anything is damaged.")
@click.pass_context
def command(ctx: click.Context, *, wait: bool) -> int:
    """Has the vault read everything that is stored from its disks now, and check it (operator).

    It does so by itself in `scrub_days` days; this does not wait. What is damaged is sent again by the next runs.
    """
    output = output_of(ctx)
    number = ask_vault(ctx, calls.begin_scrub)
    if not wait:
        output.show({"number": number}, lambda: "A scrub has begun: `vaultctl status` says how far it is.")
        return EXIT_OK
    with Progress(output) as progress:
        end = _wait(lambda: ask_vault(ctx, calls.scrub_state), number, progress)
    hits = ask_vault(ctx, calls.hits_of_damage)
    done = end.last
    assert done is not None
    for hit in hits:
        output.line({"type": "hit", **document_of(hit)})
    output.show(
        {"type": "summary", **document_of(done), "safesets_hit": len(hits), "in_doubt": end.in_doubt},
        lambda: _report(done, hits),
    )
    if hits:
        output.note(_TO_DO)
    if end.in_doubt:
        output.note(_IN_DOUBT)
    return _exit_code(done, hits, in_doubt=end.in_doubt)


def _wait(ask: Callable[[], m.ScrubStateAnswer], number: int, progress: Progress) -> m.ScrubStateAnswer:
    """Until the pass has ended, and a while longer until it is known what its damage hits."""
    looks = 0

    def state_of(state: m.ScrubStateAnswer) -> str:
        nonlocal looks
        if state.last is None or state.last.number < number:
            return "running"
        looks += 1
        return "running" if state.in_doubt and looks < LOOKS_MAX else "done"

    for state in answers_until_end(ask, state_of, time.sleep):
        if (going := state.going) is not None and going.number == number:
            total = state.bytes_total
            progress.update(Figures("reading", going.containers, min(going.bytes, total), total, "container"))
    return state


def _exit_code(done: m.ScrubPass, hits: Sequence[m.SafesetHit], *, in_doubt: bool) -> int:
    if done.records_damaged or done.places_damaged or hits:
        return EXIT_DAMAGED
    return EXIT_WARNINGS if done.unread or in_doubt else EXIT_OK


def _report(done: m.ScrubPass, hits: Sequence[m.SafesetHit]) -> str:
    fields = [
        ("begin (UTC)", time_text(done.begin_ns)),
        ("end (UTC)", time_text(done.ended_ns)),
        ("containers read", count_text(done.containers)),
        ("containers out of reach", count_text(done.unread)),
        ("read", size_text(done.bytes)),
        ("records", count_text(done.records)),
        ("records damaged", count_text(done.records_damaged)),
        ("other places damaged", count_text(done.places_damaged)),
        ("damaged and not used", count_text(done.records_unused)),
        ("read wrongly once", count_text(done.alarms)),
    ]
    return f"{fields_text(fields)}\n\n{table_text(_HIT_COLUMNS, _rows(hits), 'No safeset is known to be hit.')}"


def _rows(hits: Sequence[m.SafesetHit]) -> Iterator[Sequence[str]]:
    """A line for each job."""
    for (account, computer, job), some in groupby(hits, key=lambda hit: (hit.account, hit.computer, hit.job)):
        found = list(some)
        records = f"{'at least ' if any(hit.at_least for hit in found) else ''}{sum(hit.records for hit in found):,}"
        numbers = ", ".join(str(hit.number) for hit in found)
        yield account, computer, job, count_text(len(found)), records, numbers
