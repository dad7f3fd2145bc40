"""Which job definitions the vault takes: small, well-formed, signed by whoever created them, and not too many for one
computer. Pure.
"""

import re
from collections.abc import Collection

import msgspec

from vaultd.errors import BadRequest, Conflict
from vaultd.operations.names import check_name
from vaultd.operations.sealed_headers import is_signed
from vaultd.records import Job, JobDefinition

PATTERNS_MAX = 1000
PATTERN_CHARACTERS_MAX = 1024
PATH_BYTES_MAX = 4096
# Every safeset of the job has its includes and excludes in its payload, whose plaintext has at most 256 KiB.
DEFINITION_BYTES_MAX = 192 * 1024
SCHEDULE_CHARACTERS_MAX = 100
OPTIONS_BYTES_MAX = 16 * 1024
# All jobs of a computer come in one answer, which has 8 MiB: with a secret of 8 KiB and 1 KiB of other things for each.
COMPUTER_JOBS_MAX = 500
COMPUTER_DEFINITIONS_BYTES_MAX = 3 * 1024 * 1024
SUITES = (1, 2)
COMPRESSION_MAX = 9
DOCUMENT_VERSION = 1
DOCUMENT_LABEL = b"safeset job definition v1"
# Five fields of a cron line; what they mean is checked where they are used.
_SCHEDULE = re.compile(r"[0-9A-Za-z*,/-]+( [0-9A-Za-z*,/-]+){4}")


def check_definition(definition: JobDefinition) -> None:
    """BadRequest names the field and the rule."""
    _check_include(definition.include)
    if len(definition.exclude) > PATTERNS_MAX:
        raise BadRequest(f"exclude has {len(definition.exclude)} patterns, more than {PATTERNS_MAX}")
    for pattern in definition.exclude:
        if not 1 <= len(pattern) <= PATTERN_CHARACTERS_MAX or "\0" in pattern:
            raise BadRequest(f"exclude: a pattern must have 1 to {PATTERN_CHARACTERS_MAX} characters and no zero byte")
    size_bytes = sum(map(len, definition.include)) + sum(len(pattern.encode()) for pattern in definition.exclude)
    if size_bytes > DEFINITION_BYTES_MAX:
        raise BadRequest(
            f"include and exclude have {size_bytes} bytes together, more than {DEFINITION_BYTES_MAX}",
            "name directories instead of the files in them, or make two jobs",
        )
    if definition.schedule and (
        len(definition.schedule) > SCHEDULE_CHARACTERS_MAX or not _SCHEDULE.fullmatch(definition.schedule)
    ):
        raise BadRequest("schedule must be empty or the five fields of a cron line")
    if definition.retention:
        check_name(definition.retention, "retention")
    if definition.suite not in SUITES:
        raise BadRequest(f"suite {definition.suite} is unknown", "1 is AES-256-CBC, 2 is AES-256-GCM")
    if not 1 <= len(definition.options) <= OPTIONS_BYTES_MAX:
        raise BadRequest(f"options must have 1 to {OPTIONS_BYTES_MAX} bytes, not {len(definition.options)}")
    if not 0 <= definition.compression <= COMPRESSION_MAX:
        raise BadRequest(f"compression must be 0 to {COMPRESSION_MAX}, not {definition.compression}")


def check_beside(others: Collection[JobDefinition], new: JobDefinition, computer: str) -> None:
    """Conflict where the computer has so many or so large ones that its jobs would not fit into one answer."""
    if len(others) >= COMPUTER_JOBS_MAX:
        raise Conflict(
            f"computer {computer!r} has {len(others)} jobs, counting removed ones that have safesets: more than"
            f" {COMPUTER_JOBS_MAX} are not possible",
            "put more paths into one job",
        )
    size_bytes = sum(len(msgspec.msgpack.encode(one)) for one in (*others, new))
    if size_bytes > COMPUTER_DEFINITIONS_BYTES_MAX:
        raise Conflict(
            f"the definitions of all jobs of computer {computer!r} would have {size_bytes} bytes together, more than"
            f" {COMPUTER_DEFINITIONS_BYTES_MAX}",
            "name directories instead of the files in them, and exclude with fewer patterns",
        )


def check_signature(job: Job) -> None:
    """The agent refuses what its creator did not sign; here it is noticed while he can still be told."""
    head = (DOCUMENT_VERSION, job.account_id, job.computer_id, job.job_id, job.revision, job.name)
    document = msgspec.msgpack.encode((*head, *msgspec.structs.astuple(job.definition)))
    if not is_signed(job.creator_key, job.signature, DOCUMENT_LABEL + document):
        raise BadRequest("signature is not that of creator_key over the job's definition")


def _check_include(include: tuple[bytes, ...]) -> None:
    if not 1 <= len(include) <= PATTERNS_MAX:
        raise BadRequest(f"include must have 1 to {PATTERNS_MAX} paths, not {len(include)}")
    for path in include:
        if not path.startswith(b"/") or len(path) > PATH_BYTES_MAX or b"\0" in path:
            raise BadRequest(
                f"include: each path must be absolute, at most {PATH_BYTES_MAX} bytes and without a zero byte"
            )
