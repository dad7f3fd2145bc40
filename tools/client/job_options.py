"""What a job's definition says beyond its fixed fields: a map by name, signed as it stands.

So a later version can ask for more, and an agent that cannot do it says so instead of backing up otherwise than asked.
"""

from typing import Any

from tools.client.failure import Failure
from tools.client.record_format import IntegrityError
from tools.client.strict_msgpack import pack, unpack_map

# Directories that a CACHEDIR.TAG says to be caches are kept without what is in them.
EXCLUDE_CACHES = "exclude_caches"
_KNOWN = {EXCLUDE_CACHES: True}
"""The one value of each: an option that is not wanted is left out."""


def encode_options(*, exclude_caches: bool) -> bytes:
    return pack({EXCLUDE_CACHES: True} if exclude_caches else {})


def decode_options(packed: bytes) -> dict[str, Any]:
    """IntegrityError unless it is a map by name."""
    options = unpack_map(packed, "options of the job")
    if not all(type(name) is str for name in options):
        raise IntegrityError("an option of the job has no name")
    return options


def check_options(job: str, packed: bytes) -> None:
    """Failure that names an option, or a value of one, which this program does not know."""
    for name, value in decode_options(packed).items():
        if name in _KNOWN and value is _KNOWN[name]:
            continue
        what = f"the option {name!r}" if name not in _KNOWN else f"an unknown value of the option {name!r}"
        raise Failure(
            "unsupported_version",
            f"job {job!r} has {what}, which this agent does not know",
            "nothing was read or sent: upgrade the agent",
        )
