"""The daemon's log: one JSON object a line on standard error, made of fields from a fixed list.

Invariants: a field that is not in FIELDS never reaches the log, so bodies, tokens, passwords and names inside trees
cannot; its name is logged instead, which a test of the caller then sees.
"""

import logging
import sys
import time
from collections.abc import MutableMapping
from typing import Any

import structlog

_QUIET_SECONDS = 60.0
FIELDS = frozenset(
    {
        "event", "level", "severity", "time",  # every line
        "method", "code", "seconds", "account", "computer", "role", "error_id",  # a request
        "address", "host", "port", "connections",  # the network
        "problem", "place",  # an exception's sentence; the function and line it came from
        "version", "pid", "signal", "records", "bytes", "containers", "entries", "number", "safesets", "lag_seconds",
        "expired", "purged",  # safesets
        "damages", "alarms", "unread",  # a scrub
    }
)  # fmt: skip


def configure_logs() -> None:
    """Called once by the daemon before anything is logged."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            only_known_fields,
            structlog.processors.JSONRenderer(sort_keys=False),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    accepting = logging.getLogger("trio.serve_listeners")
    accepting.handlers = [AcceptProblems()]
    accepting.propagate = False


class AcceptProblems(logging.Handler):
    """Trio tries again ten times a second where no descriptor is left for a connection: told once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._quiet_until_seconds = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        now_seconds = time.monotonic()
        if now_seconds >= self._quiet_until_seconds:
            self._quiet_until_seconds = now_seconds + _QUIET_SECONDS
            log.error("connections wait", problem=record.getMessage())


def only_known_fields(_logger: object, _name: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replaces what is not on the list by its names."""
    known = {name: value for name, value in fields.items() if name in FIELDS}
    dropped = sorted(set(fields) - FIELDS)
    return known | {"dropped": dropped} if dropped else known


log = structlog.get_logger()
