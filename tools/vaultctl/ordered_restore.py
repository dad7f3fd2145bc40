"""A restore that was ordered: how far it is, and how it ended, in words; the vault knows codes only."""

from collections.abc import Iterator

from protocol import messages as m
from tools.client.documents import document_of
from tools.client.failure import EXIT_OK, EXIT_WARNINGS, Failure
from tools.client.output import Output
from tools.client.progress import Figures, Progress
from tools.client.tables import fields_text
from tools.client.terminal_text import escape_text
from tools.client.units import count_text, elapsed_text, size_text, time_json, time_text

_SECOND_NS = 1_000_000_000
_NOTES = {"waiting": "waiting for the service of {to}", "running": "the restore has begun"}
_EXIT_CODES = {"done": EXIT_OK, "warnings": EXIT_WARNINGS}

_ON_THE_COMPUTER = "the log of its service there says more"
# By the code that the computer told: what happened, and what to do.
_FAILED = {
    "wrong_password": ("the password does not open this job", "check for the right job and computer"),
    "not_found": (
        "there is no such safeset, or nothing of it at a --path",
        "see `vaultctl safeset list`, and on the computer `vault-agent ls`",
    ),
    "no_space": ("the disk restored to has too little room", "make room there, and order it again"),
    "not_allowed": ("the computer may not restore this job", "the leave may be over: order it again"),
    "damaged": ("damage was found; the rest was restored where that could be", _ON_THE_COMPUTER),
    "conflict": ("something else is where the target or the job is", _ON_THE_COMPUTER),
    "usage": ("the target cannot be used", _ON_THE_COMPUTER),
}
_REFUSED = {
    "forged": (
        "the agent found that its creator did not give this order for it, or not so",
        "order with the context that invited the computer; if you did, ask the vault's operator",
    ),
    "expired": (
        "the order came to the agent too late by that computer's clock",
        "compare its clock, and order it again",
    ),
    "early": ("the clock of that computer is behind the one here", "set the clocks, and order it again"),
    "repeated": ("the agent has seen another order with this id", "order it again"),
    "unsure": ("what the agent remembered of this order is damaged", "see what was restored, and order it again"),
}


def follow(answers: Iterator[m.RestoreStateAnswer], output: Output, progress: Progress) -> m.RestoreStateAnswer:
    """Tells each new state, and how far it is whenever the agent told the vault anew; returns the end."""
    state, told = "", None
    for answer in answers:
        order = answer.order
        if order.state != state and order.state in _NOTES:
            output.note(_NOTES[order.state].format(to=order.to))
            output.line({"type": "status", "state": order.state})
            if order.begin_ns is not None:
                progress.began(order.begin_ns / _SECOND_NS)
        if answer.progress != told:
            _show(progress, answer.progress)
        state, told = order.state, answer.progress
    return answer


def _show(progress: Progress, told: m.RunProgress | None) -> None:
    """None where the vault knows it no more: the agent's connection is gone, or the vault began anew."""
    if told is None:
        progress.clear()
    else:
        figures = Figures("restoring", told.files, told.bytes, told.bytes_total)
        progress.update(figures, told.time_ns / _SECOND_NS)


def end_of(output: Output, order: m.RestoreOrderSummary, safeset: m.SafesetSummary) -> int:
    """The summary and the exit code that says how it ended; Failure where it did not end well."""
    if order.state not in _EXIT_CODES:
        raise _failure(order)
    document = {"type": "summary", **document_of(order), "seconds": round(_seconds(order), 3)}
    document |= {"safeset": safeset.number, "safeset_time": time_json(safeset.time_ns)}
    output.show(document, lambda: fields_text(_fields(order, safeset)))
    return _EXIT_CODES[order.state]


def _failure(order: m.RestoreOrderSummary) -> Failure:
    name, details = f"restore {order.number}", {"restore": document_of(order)}
    match order.state:
        case "cancelled":
            return Failure("failed", f"{name} was cancelled", "what was restored until then stays", details)
        case "expired":
            hint = "is the service of that computer up? order it again"
            return Failure("failed", f"{name} was not carried out to its end within its day", hint, details)
        case "refused":
            why, hint = _REFUSED.get(order.code, (f"the agent says {order.code!r}", _ON_THE_COMPUTER))
            return Failure("not_allowed", f"{name} was refused by {order.to}: {why}", hint, details)
    why, hint = _FAILED.get(order.code, (f"the agent says {order.code!r}", _ON_THE_COMPUTER))
    return Failure(order.code or "failed", f"{name} failed on {order.to}: {why}", hint, details)


def _fields(order: m.RestoreOrderSummary, safeset: m.SafesetSummary) -> list[tuple[str, str]]:
    return [
        ("restore", str(order.number)),
        ("safeset", f"{safeset.number} of {time_text(safeset.time_ns)} UTC"),
        ("outcome", order.state),
        ("on", escape_text(order.to)),
        ("duration", elapsed_text(_seconds(order))),
        ("files", f"{count_text(order.files)} ({size_text(order.bytes)})"),
        ("stayed", count_text(order.left)),
        ("warnings", count_text(order.warnings)),
    ]


def _seconds(order: m.RestoreOrderSummary) -> float:
    return ((order.end_ns or 0) - (order.begin_ns or 0)) / _SECOND_NS
