"""The agent's state directory: who it is at which vault, its private keys, and what it keeps of each job.

Invariants: the directory is 0700 and its files 0600; a file is replaced as a whole and synced; whoever writes holds the
lock. Never in it: passwords, recovery codes, run keys, private keys of a keyring.
"""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from tools.client.failure import Failure

STATE_VERSION = 1
T = TypeVar("T", bound=msgspec.Struct)

_FILE_BYTES_MAX = 2 << 20  # above the four lists of at most 192 KiB each, in base64
_UNFINISHED = ".new-"
_CANDIDATE = "unattended-"

_Id = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
_Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which vault this computer is registered at, and as whom; `vault_key` and `creator`, the fingerprint of the key
    that signs its jobs, are pinned for ever at registration.
    """

    version: int = STATE_VERSION
    url: str
    vault_id: _Id
    vault_key: _Hash
    account_id: _Id
    computer_id: _Id
    computer: str
    kind: str
    authority_pem: str
    certificate_pem: str
    agent_key: str
    creator: str


class KnownHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The last safeset of a job that the vault countersigned for this agent; no later one is of a lower generation."""

    timeline: int
    sequence: int
    root_hash: _Hash
    generation: int = 0


class PendingRoot(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A root that was sent to be committed, kept until its fate is known: the vault's answer may be lost."""

    timeline: int
    sequence: int
    root_hash: _Hash
    generation: int = 0
    is_complete: bool = True


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What must not be missing silently from the next safeset: included paths that were there, those of them with
    something below, and directories on which something was mounted; of those the ones that were told to be `lost`. Not
    in the cache, which may be lost at any time.
    """

    there: list[bytes]
    filled: list[bytes]
    mounts: list[bytes]
    lost: list[bytes] = []


class _KnownRevision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest revision of a job's definition that was good when this agent was about to run it."""

    revision: int


class _JobNames(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which job each name stood for when this agent first backed it up."""

    job_ids: dict[str, _Id]


class _Signers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By generation: what verifies the roots of the job from before the agent's own, which holds none of their keys."""

    public_keys: dict[int, _Hash]


class _UsedMessages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    message_ids: list[_Id]


class JobState:
    """What the agent keeps of one job, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def cache_path(self) -> Path:
        return self.directory / "cache.sqlite"

    @property
    def journal_path(self) -> Path:
        return self.directory / "run.journal"

    def load_unattended(self) -> bytes | None:
        return _read(self.directory / "unattended")

    def save_unattended(self, data: bytes) -> None:
        self._write("unattended", data)

    def load_candidate(self, keyring_id: bytes) -> bytes | None:
        return _read(self._candidate_path(keyring_id))

    def save_candidate(self, keyring_id: bytes, data: bytes) -> None:
        """The unattended part of a keyring that was made and that the vault may or may not take."""
        self._write(self._candidate_path(keyring_id).name, data)

    def take_candidate(self, keyring_id: bytes) -> None:
        """The vault took this one: it is the job's, and the others are nobody's."""
        os.replace(self._candidate_path(keyring_id), self.directory / "unattended")
        _sync_directory(self.directory)
        for name in os.listdir(self.directory):
            if name.startswith(_CANDIDATE):
                (self.directory / name).unlink()

    def _candidate_path(self, keyring_id: bytes) -> Path:
        return self.directory / f"{_CANDIDATE}{keyring_id.hex()}"

    @property
    def head_path(self) -> Path:
        return self.directory / "head.json"

    def load_head(self) -> KnownHead | None:
        return _load_json(self.head_path, KnownHead)

    def save_head(self, head: KnownHead) -> None:
        self._write(self.head_path.name, _json(head))

    def load_expected(self) -> Expected | None:
        return _load_json(self.directory / "expected.json", Expected)

    def save_expected(self, expected: Expected) -> None:
        self._write("expected.json", _json(expected))

    def load_pending(self) -> PendingRoot | None:
        return _load_json(self.directory / "pending.json", PendingRoot)

    def save_pending(self, pending: PendingRoot) -> None:
        self._write("pending.json", _json(pending))

    def forget_pending(self) -> None:
        (self.directory / "pending.json").unlink(missing_ok=True)

    def load_revision(self) -> int:
        """0 before the first."""
        known = _load_json(self.directory / "revision.json", _KnownRevision)
        return 0 if known is None else known.revision

    def save_revision(self, revision: int) -> None:
        self._write("revision.json", _json(_KnownRevision(revision)))

    def load_signers(self) -> dict[int, bytes]:
        signers = _load_json(self.directory / "signers.json", _Signers)
        known = {} if signers is None else signers.public_keys
        return {number: bytes.fromhex(text) for number, text in known.items()}

    def save_signers(self, public_keys: dict[int, bytes]) -> None:
        """Beside those that are known; of a generation that is known the first one stays."""
        merged = public_keys | self.load_signers()
        self._write("signers.json", _json(_Signers({number: key.hex() for number, key in sorted(merged.items())})))

    @property
    def has_made_keyring(self) -> bool:
        """Whether the vault has acknowledged a keyring that was made here."""
        return (self.directory / "used-secrets.json").exists()

    @property
    def is_new(self) -> bool:
        """Whether nothing of the job was ever kept here that its keys would have to go on from."""
        return not self.has_made_keyring and self.load_unattended() is None and self.load_head() is None

    def is_used(self, message_id: bytes) -> bool:
        used = _load_json(self.directory / "used-secrets.json", _UsedMessages)
        return used is not None and message_id.hex() in used.message_ids

    def mark_used(self, message_id: bytes) -> None:
        used = _load_json(self.directory / "used-secrets.json", _UsedMessages)
        known = used.message_ids if used is not None else []
        self._write("used-secrets.json", _json(_UsedMessages([*known, message_id.hex()])))

    def _write(self, name: str, data: bytes) -> None:
        self.directory.parent.mkdir(mode=0o700, exist_ok=True)
        self.directory.mkdir(mode=0o700, exist_ok=True)
        _replace(self.directory / name, data)


@dataclass(frozen=True, slots=True)
class StateDirectory:
    path: Path

    @property
    def key_path(self) -> Path:
        return self.path / "agent.key"

    @property
    def certificate_path(self) -> Path:
        return self.path / "agent.crt"

    def job(self, job_id: bytes) -> JobState:
        return JobState(self.path / "jobs" / job_id.hex())

    @property
    def names_path(self) -> Path:
        return self.path / "jobs" / "names.json"

    def known_job_id(self, name: str) -> bytes | None:
        """The job that the name stood for until now."""
        names = _load_json(self.names_path, _JobNames)
        known = names.job_ids if names is not None else {}
        # Names are unique regardless of case.
        found = [job_id for held, job_id in known.items() if held.casefold() == name.casefold()]
        return bytes.fromhex(found[0]) if found else None

    def job_name(self, job_id: bytes) -> str:
        """As it was first backed up here; the id of another one."""
        names = _load_json(self.names_path, _JobNames)
        known = names.job_ids if names is not None else {}
        return next((name for name, known_id in known.items() if known_id == job_id.hex()), job_id.hex())

    def save_job_id(self, name: str, job_id: bytes) -> None:
        names = _load_json(self.names_path, _JobNames)
        known = names.job_ids if names is not None else {}
        self.names_path.parent.mkdir(mode=0o700, exist_ok=True)
        _replace(self.names_path, _json(_JobNames({**known, name: job_id.hex()})))

    def load_identity(self) -> Identity:
        identity = _load_json(self.path / "identity.json", Identity)
        if identity is None:
            raise Failure("not_found", f"{self.path} is not the state of a registered agent", "register it first")
        return identity

    def is_registered(self) -> bool:
        return (self.path / "identity.json").exists()

    def load_sealing_private(self) -> bytes:
        data = _read(self.path / "sealing.key")
        if data is None:
            raise Failure("damaged", f"{self.path} has no file sealing.key", "register the agent anew")
        return data

    def load_keys(self) -> tuple[bytes, bytes] | None:
        """Both private keys; None unless both were saved."""
        tls_private_pem, sealing_private = _read(self.key_path), _read(self.path / "sealing.key")
        return None if tls_private_pem is None or sealing_private is None else (tls_private_pem, sealing_private)

    def save_keys(self, tls_private_pem: bytes, sealing_private: bytes) -> None:
        _replace(self.key_path, tls_private_pem)
        _replace(self.path / "sealing.key", sealing_private)

    def save_identity(self, identity: Identity) -> None:
        """The last file of a registration: with it the state is complete."""
        _replace(self.certificate_path, identity.certificate_pem.encode())
        _replace(self.path / "identity.json", _json(identity))


def open_state(path: Path) -> StateDirectory:
    """An existing state directory; refused when other users may enter it."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise Failure("not_found", f"there is no state directory {path}", "register first") from None
    if not stat.S_ISDIR(status.st_mode):
        raise Failure("usage", f"{path} is not a directory", "--state names the directory that `register` made")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise Failure("not_allowed", f"other users may enter {path}, which holds keys", f"run: chmod 700 {path}")
    return StateDirectory(path)


def create_state(path: Path) -> StateDirectory:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        pass  # something else has that name, which is told next
    except OSError as error:
        raise Failure("usage", f"{path} cannot be made: {error.strerror}", "name another --state") from None
    return open_state(path)


@contextmanager
def lock_state(state: StateDirectory) -> Iterator[int]:
    """Held by whoever writes the state; a second one is told at once. The kernel lets go when the last process ends
    that has this descriptor.
    """
    descriptor = os.open(state.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(
                "conflict", f"another vault-agent works with {state.path}", "wait for it to end, or use another --state"
            ) from None
        remove_unfinished(state)
        yield descriptor
    finally:
        os.close(descriptor)


def remove_unfinished(state: StateDirectory) -> None:
    """What a killed process left of files that it was about to replace: there may be private keys in them. For whoever
    holds the lock, or has it of its parent.
    """
    for pattern in (f"{_UNFINISHED}*", f"jobs/{_UNFINISHED}*", f"jobs/*/{_UNFINISHED}*"):
        for file in state.path.glob(pattern):
            file.unlink()


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as handle:
            return handle.read(_FILE_BYTES_MAX)
    except FileNotFoundError:
        return None


def _load_json(path: Path, type: type[T]) -> T | None:
    data = _read(path)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Failure("damaged", f"{path} is damaged: {error}", "bring it back from a copy, or register anew") from None


def _json(value: msgspec.Struct) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _replace(path: Path, data: bytes) -> None:
    """Old or new content, never a part: temporary file, sync, rename, sync of the directory."""
    descriptor, temporary = tempfile.mkstemp(prefix=_UNFINISHED, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
