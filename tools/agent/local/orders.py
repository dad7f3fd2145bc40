"""What is handed over through the local socket, and what is said back. Frames: u32 length, one msgpack map, strict.

A secret travels here and nowhere else: not in an argument, not in a log, and no `repr` shows it.
"""

import struct
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from tools.client.failure import Failure

FRAME_BYTES_MAX = 4 << 20
PREFIX = struct.Struct("<I")
PATHS_MAX = 65_536

T = TypeVar("T")

_Name = Annotated[str, Meta(min_length=1, max_length=64)]
_Path = Annotated[bytes, Meta(max_length=1 << 20)]
_AbsolutePath = Annotated[bytes, Meta(min_length=1, max_length=1 << 20)]
_Password = Annotated[str, Meta(min_length=1, max_length=4096)]
_Id = Annotated[bytes, Meta(min_length=16, max_length=16)]
_RecoveryCode = Annotated[bytes, Meta(min_length=20, max_length=20)]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class BackupOrder(_Part, frozen=True, tag="backup"):
    """A person here wants this job run now."""

    job: _Name
    json: bool


class RestoreOrder(_Part, frozen=True, tag="restore"):
    """`sequence` 0 is the latest; `paths` without leading slashes, one empty path is everything. `job_id` where the job
    is known by more than its name.
    """

    job: _Name
    computer: _Name | None
    sequence: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    paths: Annotated[list[_Path], Meta(min_length=1, max_length=PATHS_MAX)]
    target: _AbsolutePath
    overwrite: Annotated[str, Meta(max_length=16)]
    is_privileged: bool
    is_room_checked: bool
    password: _Password | None
    recovery_code: _RecoveryCode | None
    json: bool
    job_id: _Id | None = None

    def __post_init__(self) -> None:
        if (self.password is None) == (self.recovery_code is None):
            raise ValueError("a password or a recovery code opens a safeset")

    @property
    def secret(self) -> str | bytes:
        opened_by = self.recovery_code if self.password is None else self.password
        assert opened_by is not None
        return opened_by

    def __repr__(self) -> str:
        return f"RestoreOrder(job={self.job!r})"


class AskedOrder(_Part, frozen=True, tag="asked"):
    """The vault says that somebody asks for a run; it is begun only if that still holds. Never from the socket."""

    job_id: _Id
    json: bool


class AskedRestore(_Part, frozen=True, tag="asked_restore"):
    """An administrator wants something restored here; the child fetches from the vault what. Never from the socket."""

    order_id: _Id
    json: bool


class Work(_Part, frozen=True):
    """What a child process gets."""

    state: bytes
    order: BackupOrder | RestoreOrder | AskedOrder | AskedRestore


class Accepted(_Part, frozen=True, tag="accepted"):
    """The service has it, and nobody else will do it."""


class Waiting(_Part, frozen=True, tag="waiting"):
    """For the end of other work."""

    behind: str


class Ended(_Part, frozen=True, tag="ended"):
    """`code`, `message` and `hint` where nobody has told the person yet why."""

    exit_code: int
    code: str = ""
    message: str = ""
    hint: str = ""


Order = BackupOrder | RestoreOrder
Reply = Accepted | Waiting | Ended


def encode_frame(message: msgspec.Struct) -> bytes:
    data = msgspec.msgpack.encode(message)
    if len(data) > FRAME_BYTES_MAX:
        raise Failure("too_large", f"this needs {len(data)} bytes, {FRAME_BYTES_MAX} can be handed over", "name less")
    return PREFIX.pack(len(data)) + data


def frame_length(prefix: bytes) -> int:
    (length,) = PREFIX.unpack(prefix)
    if not 0 < length <= FRAME_BYTES_MAX:
        raise Failure("bad_request", f"a frame of {length} bytes; 1 to {FRAME_BYTES_MAX} are taken")
    return int(length)


def decode_message(data: bytes, kind: type[T]) -> T:
    """Exactly one of `kind`; what is wrong is said without values, which may be secrets."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = str(error) if isinstance(error, msgspec.ValidationError) else "it is not one whole msgpack map"
        raise Failure(
            "bad_request", f"what was handed over is not understood: {what}", "are both of one version?"
        ) from None
