"""How a job's safesets are listed, by whichever program; the keys of the document are a promise to scripts."""

from collections.abc import Sequence
from typing import Any

from protocol.messages.safeset import SafesetSummary
from tools.client.tables import Column, table_text
from tools.client.terminal_text import escape_text
from tools.client.units import count_text, size_text, time_json, time_text

_COLUMNS = (
    Column("SAFESET", right=True),
    Column("TIME (UTC)"),
    Column("FILES", right=True),
    Column("PROTECTED", right=True),
    Column("NEW", right=True),
    Column("RETENTION"),
    Column("REPLICATED (UTC)"),
    Column("VERIFIED (UTC)"),
    Column("RESTORE-TESTED (UTC)"),
    Column("STATE"),
)


def safeset_document(safeset: SafesetSummary) -> dict[str, Any]:
    return {
        "number": safeset.number,
        "time": time_json(safeset.time_ns),
        "complete": safeset.complete,
        "files": safeset.files,
        "protected_bytes": safeset.protected_bytes,
        "new_bytes": safeset.new_bytes,
        "retention": safeset.retention,
        "stored_at": time_json(safeset.stored_at_ns),
        "replicated_at": time_json(safeset.replicated_at_ns),
        "verified_at": time_json(safeset.verified_at_ns),
        "restore_tested_at": time_json(safeset.restore_tested_at_ns),
        "damaged": safeset.damaged,
        "distrusted": safeset.distrusted,
        "in_doubt": safeset.in_doubt,
        "pinned": safeset.pinned,
    }


def safesets_text(safesets: Sequence[SafesetSummary]) -> str:
    """Newest first, as runs are shown."""
    rows = (
        (
            str(safeset.number),
            time_text(safeset.time_ns),
            count_text(safeset.files),
            size_text(safeset.protected_bytes),
            size_text(safeset.new_bytes),
            safeset.retention or "-",
            time_text(safeset.replicated_at_ns),
            time_text(safeset.verified_at_ns),
            time_text(safeset.restore_tested_at_ns),
            _state(safeset),
        )
        for safeset in reversed(safesets)
    )
    return table_text(_COLUMNS, rows, "There is no safeset yet: the job's first run makes one.")


def _state(safeset: SafesetSummary) -> str:
    words = [] if safeset.complete else ["provisional"]
    if safeset.damaged:
        words.append("damaged")
    if safeset.distrusted:
        words.append("distrusted")
    if safeset.pinned:
        words.append(f"pinned: {escape_text(safeset.pinned)}")
    if safeset.in_doubt:
        words.append("damage looked for")
    return ", ".join(words) or "stored"
