"""A restore order: what an administrator has a computer restore, with the password that opens it, sealed to its agent.

Only the content. Whom it is for, that it is unaltered and that it comes once is said by the message around it
(job_secret.py). It is good for a day, so that a vault which held it back cannot have files overwritten much later.
"""

from dataclasses import dataclass, field

from tools.client.record_format import IntegrityError
from tools.client.strict_msgpack import counted, of_version, pack, typed, unpack_array

DAY_NS = 24 * 3600 * 1_000_000_000
# How far the clock of the computer may be behind that of whoever gave the order.
CLOCK_BEHIND_NS = 3600 * 1_000_000_000
PATHS_MAX = 1_000
PATH_BYTES_MAX = 4_096
NAME_CHARACTERS_MAX = 64
PASSWORD_CHARACTERS_MAX = 4_096
OVERWRITE_RULES = ("never", "newer", "changed", "always")

_VERSION = 1
_NUMBER_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class RestoreOrder:
    """`computer` is whose job it is, None for the job of the computer itself; `sequence` 0 the latest safeset,
    as the vault says; no `paths`: all of it. The times are those of the administrator's clock.
    """

    computer: str | None
    job: str
    sequence: int
    paths: tuple[bytes, ...]
    target: bytes
    overwrite: str
    created_ns: int
    expires_ns: int
    password: str = field(repr=False)

    def encode(self) -> bytes:
        return pack([
            _VERSION, self.computer, self.job, self.sequence, list(self.paths), self.target, self.overwrite,
            self.created_ns, self.expires_ns, self.password,
        ])  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> "RestoreOrder":
        """Raises IntegrityError that names the field."""
        array = of_version(unpack_array(data, "restore order"), _VERSION, 10, "restore order")
        computer, job, sequence, paths, target, overwrite, created_ns, expires_ns, password = array[1:]
        counted(sequence, 0, _NUMBER_MAX, "safeset of the restore order")
        counted(created_ns, 0, _NUMBER_MAX, "begin of the restore order")
        counted(expires_ns, 0, _NUMBER_MAX, "end of the restore order")
        found = tuple(_path(path, "path") for path in typed(paths, list, "paths of the restore order"))
        if len(found) > PATHS_MAX:
            raise IntegrityError(f"the restore order has {len(found)} paths, more than {PATHS_MAX}")
        if not _path(target, "target").startswith(b"/"):
            raise IntegrityError("the target of the restore order is not an absolute path")
        if overwrite not in OVERWRITE_RULES:
            raise IntegrityError(f"the overwrite rule of the restore order is none of {', '.join(OVERWRITE_RULES)}")
        if not 0 < expires_ns - created_ns <= DAY_NS:
            raise IntegrityError("the restore order is not good for a day at most")
        owner = None if computer is None else _name(computer, "computer")
        secret = typed(password, str, "password of the restore order")
        if not 1 <= len(secret) <= PASSWORD_CHARACTERS_MAX:
            raise IntegrityError(f"the password of the restore order has not 1 to {PASSWORD_CHARACTERS_MAX} characters")
        return cls(owner, _name(job, "job"), sequence, found, target, overwrite, created_ns, expires_ns, secret)


def _name(value: object, what: str) -> str:
    name: str = typed(value, str, f"{what} of the restore order")
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX:
        raise IntegrityError(f"the {what} of the restore order has no name of 1 to {NAME_CHARACTERS_MAX} characters")
    return name


def _path(value: object, what: str) -> bytes:
    path: bytes = typed(value, bytes, f"{what} of the restore order")
    if not 1 <= len(path) <= PATH_BYTES_MAX or b"\0" in path:
        raise IntegrityError(f"a {what} of the restore order is no path of 1 to {PATH_BYTES_MAX} bytes")
    return path
