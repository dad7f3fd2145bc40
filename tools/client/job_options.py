"""What a job's definition says beyond its fixed fields: a map by name, signed as it stands. Version 1 knows no option.

So a later version can ask for more, and an agent that cannot do it says so instead of backing up otherwise than asked.
"""

from typing import Any

from tools.client.failure import Failure
from tools.client.record_format import IntegrityError
from tools.client.strict_msgpack import unpack_map

NO_OPTIONS = b"\x80"


def decode_options(packed: bytes) -> dict[str, Any]:
    """IntegrityError unless it is a map by name."""
    options = unpack_map(packed, "options of the job")
    if not all(type(name) is str for name in options):
        raise IntegrityError("an option of the job has no name")
    return options


def check_options(job: str, packed: bytes) -> None:
    """Failure that names an option which this program does not know."""
    for name in decode_options(packed):
        raise Failure(
            "unsupported_version",
            f"job {job!r} has the option {name!r}, which this agent does not know",
            "nothing was read or sent: upgrade the agent",
        )
