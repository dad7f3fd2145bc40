"""The definition of a job: from the words of a command line to the message, and back to names."""

import os
import re
from collections.abc import Iterable
from typing import Any

from pathspec import GitIgnoreSpec

from protocol.messages.job import JobDefinition, JobSummary
from tools.client.documents import document_of, json_value, path_text
from tools.client.failure import Failure
from tools.client.job_options import decode_options

# The suites of docs/format.md; the first is the default.
SUITES = {"aes-256-cbc": 1, "aes-256-gcm": 2}
COMPRESSION_DEFAULT = 1

_CRON_FIELDS = 5
_CRON_FIELD = re.compile(r"[0-9A-Za-z*,/-]+")


def cipher_name(suite: int) -> str:
    return next((name for name, number in SUITES.items() if number == suite), f"suite {suite}")


def job_document(job: JobSummary) -> dict[str, Any]:
    return {**document_of(job), "definition": _definition_document(job.definition)}


def _definition_document(definition: JobDefinition) -> dict[str, Any]:
    return {
        **document_of(definition),
        "include": [path_text(path) for path in definition.include],
        "cipher": cipher_name(definition.suite),
        "options": json_value(decode_options(definition.options)),
    }


def included_paths(words: Iterable[str]) -> list[bytes]:
    """Absolute paths of the computer (not of this machine), in the order given, no path twice."""
    return list(dict.fromkeys(_included_path(os.fsencode(word)) for word in words))


def _included_path(path: bytes) -> bytes:
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if not path.startswith(b"/") or b".." in parts:
        raise Failure(
            "usage",
            f"--include {path_text(path)} is not an absolute path without `..`",
            "name it as the computer does, for instance --include /home",
        )
    return b"/" + b"/".join(parts)


def exclude_patterns(words: Iterable[str]) -> list[str]:
    """As in a .gitignore file at the root of the computer's file system; refused where one can match nothing."""
    # A file of patterns has comments; on a command line `#recycle` is a name.
    patterns = [f"\\{word}" if word.startswith("#") else word for word in words]
    for pattern in patterns:
        if not pattern.strip() or "\n" in pattern:
            raise Failure("usage", "an --exclude pattern is empty or has more than one line", "remove it")
        try:
            pattern.encode("utf-8")
        except UnicodeEncodeError:
            raise Failure("usage", "an --exclude pattern is not UTF-8 text", "use `*` for such bytes") from None
        if not _is_pattern(pattern):
            raise Failure(
                "usage", f"--exclude {pattern} is not a pattern as in a .gitignore file", "see docs/operations.md, Jobs"
            )
    return patterns


def _is_pattern(pattern: str) -> bool:
    try:
        (parsed,) = GitIgnoreSpec.from_lines([pattern]).patterns
    except (ValueError, re.error):
        return False
    return parsed.include is not None


def only_at_the_root(patterns: Iterable[str]) -> list[str]:
    """Those with a slash inside that do not say where they begin: people often mean any depth."""
    return [pattern for pattern in patterns if "/" in pattern[:-1] and not pattern.startswith(("/", "!", "**/"))]


def checked_schedule(text: str) -> str:
    """Only the shape: five fields of the characters that cron knows. The times are told by what runs the schedule."""
    fields = text.split()
    if text and (len(fields) != _CRON_FIELDS or not all(_CRON_FIELD.fullmatch(field) for field in fields)):
        raise Failure(
            "usage",
            f"--schedule {text!r} is not five cron fields: minute, hour, day of month, month, day of week",
            "for instance --schedule '30 21 * * 1-5'",
        )
    return " ".join(fields)
