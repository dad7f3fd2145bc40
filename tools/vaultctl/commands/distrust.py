"""`vaultctl computer distrust`: what a suspect computer stored since a time counts as missing, and is stored anew."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click

from protocol.messages.distrust import ComputerDistrustAnswer, ComputerDistrustRequest, LeaningSafeset
from tools.client import calls
from tools.client.documents import document_of
from tools.client.failure import Failure
from tools.client.program import Command
from tools.client.session import VaultSession
from tools.client.tables import Column, table_text
from tools.client.terminal_text import escape_text
from tools.client.units import count_text, time_json, time_text
from tools.vaultctl.identity import ask_vault, output_of

_COLUMNS = (
    Column("COMPUTER"),
    Column("JOB"),
    Column("SAFESET", right=True),
    Column("STORED (UTC)"),
    Column("MADE BY THEM"),
    Column("RECORDS OF THEM", right=True),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@click.command("distrust", cls=Command)
@click.argument("computer")
@click.option("--since", required=True, metavar="TIME", help="2026-11-20, or 2026-11-20T13:00; UTC without an offset.")
@click.option("--dry-run", is_flag=True, help="Only shows which runs and safesets it is about.")
@click.option("--undo", is_flag=True, help="Trusts them again.")
@click.pass_context
def distrust(ctx: click.Context, computer: str, since: str, *, dry_run: bool, undo: bool) -> None:
    """Distrusts the runs of COMPUTER that were not over before TIME: somebody may have had it in his hands.

    What they stored counts as missing from then on, so the next runs store it anew; nothing is removed, and their
    safesets restore as before. Lists the safesets that they made or that use what they stored.
    """
    since_ns = _time_ns(since)
    request = ComputerDistrustRequest(computer, since_ns, undo, dry_run)

    async def ask(session: VaultSession) -> tuple[ComputerDistrustAnswer, list[LeaningSafeset]]:
        return await calls.distrust_computer(session, request), await calls.leaning_safesets(session, request)

    answer, found = ask_vault(ctx, ask)
    document = {
        "computer": computer, "since": time_json(since_ns), "undo": undo, "dry_run": dry_run,
        "runs": answer.runs, "keys": answer.keys, "safesets": [document_of(one) for one in found],
    }  # fmt: skip
    output_of(ctx).show(document, lambda: f"{_sentence(request, answer)}\n\n{_text(found)}")


def _time_ns(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Failure("usage", f"--since {text!r} is no date or time", "2026-11-20, or 2026-11-20T13:00") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if moment > datetime.now(UTC):
        raise Failure("usage", f"--since {text!r} is in the future", "give the time (UTC) since when it was suspect")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _sentence(request: ComputerDistrustRequest, answer: ComputerDistrustAnswer) -> str:
    are = "would be" if request.dry_run else "are"
    what = "trusted again" if request.undo else "distrusted"
    runs = f"{count_text(answer.runs)} run{'' if answer.runs == 1 else 's'}"
    return f"{runs} of {escape_text(request.computer)} since {time_text(request.since_ns)} UTC {are} {what}."


def _text(found: Sequence[LeaningSafeset]) -> str:
    rows = [
        (
            one.computer,
            one.job,
            str(one.number),
            time_text(one.stored_at_ns),
            "yes" if one.is_made else "no",
            f"at least {count_text(one.records)}" if one.at_least else count_text(one.records),
        )
        for one in found
    ]
    return table_text(_COLUMNS, rows, "No safeset uses what they stored.")
