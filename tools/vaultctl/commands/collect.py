"""`vaultctl collect`: drops what no safeset uses any more, and gives its space back."""

import time
from functools import partial

import click

from protocol import messages as m
from tools.client import calls
from tools.client.documents import document_of
from tools.client.failure import EXIT_FAILED, EXIT_OK, EXIT_WARNINGS, Failure
from tools.client.program import Command
from tools.client.progress import Progress, Speedometer
from tools.client.tables import fields_text
from tools.client.units import count_text, counted_text, duration_text, size_text
from tools.vaultctl.identity import ask_vault, output_of

POLL_SECONDS = 0.5
_SECOND_NS = 1_000_000_000


@click.command("collect", cls=Command)
@click.option("--dry-run", "is_trial", is_flag=True, help="Drop nothing, say what would be dropped.")
@click.pass_context
def command(ctx: click.Context, *, is_trial: bool) -> int:
    """Drops what no safeset uses any more and gives its space back (operator).

    The vault does so by itself now and then. Backups and restores go on meanwhile; broken off, this command ends and
    the collection goes on.
    """
    output = output_of(ctx)
    asked = ask_vault(ctx, partial(calls.start_collection, is_trial=is_trial))
    with Progress(output) as progress:
        shown = _Shown(progress)
        ask = partial(calls.collection_state, number=asked.number)
        while not _has_ended(state := ask_vault(ctx, ask), asked):
            if state.number == asked.number:
                shown.update(state)
            time.sleep(POLL_SECONDS)
    output.show({"type": "summary", **document_of(state)}, lambda: fields_text(_fields(state)))
    if state.problem:
        output.note(f"not collected: {state.problem}")
        return EXIT_FAILED
    if state.keyrings_left:
        left = counted_text(state.keyrings_left, "keyring")
        output.note(f"warning: {left} left as they are: {state.left}")
        return EXIT_WARNINGS
    return EXIT_OK


def _has_ended(state: m.CollectionStateAnswer, asked: m.CollectionStartAnswer) -> bool:
    """A vault that began anew counts from 1 again."""
    if state.started_ns != asked.started_ns:
        raise Failure("failed", "the vault began anew meanwhile", "collect again")
    if state.number > asked.number:
        raise Failure("failed", "the vault does not know any more how it ended", "its log says so")
    return state.number == asked.number and state.phase == "ended"


class _Shown:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._phase = ""
        self._speed = Speedometer()

    def update(self, state: m.CollectionStateAnswer) -> None:
        if state.phase != self._phase:
            self._phase, self._speed = state.phase, Speedometer()
        is_moving = state.phase == "moving"
        done, total = (state.containers_moved, state.containers) if is_moving else (state.records_swept, state.records)
        self._speed.add(time.monotonic(), done)
        self._progress.tell(self._text(state, done, total), document_of(state))

    def _text(self, state: m.CollectionStateAnswer, done: int, total: int) -> str:
        what = "containers" if state.phase == "moving" else "records"
        parts = [state.phase, f"{count_text(done)} of {count_text(total)} {what}"]
        speed = self._speed.bytes_per_second()
        if speed:
            parts += [f"{speed:,.1f}/s", f"{duration_text(max(total - done, 0) / speed)} left"]
        return "  ".join(parts)


def _fields(state: m.CollectionStateAnswer) -> list[tuple[str, str]]:
    dropped = f"{count_text(state.records_dropped)} ({size_text(state.bytes_dropped)})"
    seconds = ((state.end_ns or 0) - (state.begin_ns or 0)) / _SECOND_NS
    common = [("keyrings", count_text(state.keyrings_done)), ("records marked", count_text(state.records_marked))]
    if state.is_trial:
        return [
            *common, ("records to be dropped", dropped), ("containers to be moved", count_text(state.containers)),
            ("duration", duration_text(seconds)),
        ]  # fmt: skip
    return [
        *common,
        ("records dropped", dropped),
        ("run keys dropped", count_text(state.keys_dropped)),
        ("containers moved", f"{count_text(state.containers_moved)} ({size_text(state.bytes_moved)} copied)"),
        ("space given back", size_text(state.bytes_given_back)),
        ("duration", duration_text(seconds)),
    ]
