"""The log's list of fields."""

import ast
from pathlib import Path

from vaultd.logs import FIELDS, only_known_fields

VAULTD = Path(__file__).resolve().parents[2] / "vaultd"
LEVELS = {"debug", "info", "warning", "error"}


def test_fields_that_are_not_listed_leave_only_their_names() -> None:
    kept = only_known_fields(
        None, "info", {"event": "request", "method": "hello", "token": "secret", "path": "/home/x"}
    )
    assert kept == {"event": "request", "method": "hello", "dropped": ["path", "token"]}


def test_every_line_that_the_daemon_logs_uses_listed_fields() -> None:
    unlisted = set()
    for path in VAULTD.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {f"log.{level}" for level in LEVELS}:
                unlisted |= {keyword.arg for keyword in node.keywords if keyword.arg} - FIELDS
    assert unlisted == set()
