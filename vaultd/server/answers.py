"""Results of operations as messages: the same names of fields.

What has not happened yet is 0 there and nil on the wire.
"""

from typing import Any, TypeVar

import msgspec

from protocol import messages as m
from vaultd.operations.summaries import ComputerSummary, JobSummary, RunSummary

T = TypeVar("T", bound=msgspec.Struct)


def answer(result: object, message: type[T], **others: Any) -> T:
    """The message with the fields of `result`; `others` go before them."""
    fields = {name: getattr(result, name) for name in message.__struct_fields__ if name not in others}
    return msgspec.convert(fields | others, message, from_attributes=True)


def computer(summary: ComputerSummary) -> m.ComputerSummary:
    return answer(
        summary, m.ComputerSummary, last_seen_ns=summary.last_seen_ns or None, removed_ns=summary.removed_ns or None
    )


def job(summary: JobSummary) -> m.JobSummary:
    return answer(summary, m.JobSummary, last_run_ns=summary.last_run_ns or None, removed_ns=summary.removed_ns or None)


def run(summary: RunSummary) -> m.RunSummary:
    return answer(summary, m.RunSummary, end_ns=summary.end_ns or None, sequence=summary.sequence or None)
