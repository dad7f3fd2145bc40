"""The context file: where the vault is, its authority, the credentials of one identity and the agent keys it trusts.

JSON, readable by its owner only (it holds a token and a signing key); replaced as a whole, so a crash leaves the old or
the new one, and changed under a lock, so that two commands do not lose what the other added.
"""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec

from tools.client.creator_key import CreatorKey, create_creator_key
from tools.client.failure import Failure

CONTEXT_VERSION = 1
CONTEXT_BYTES_MAX = 1024 * 1024

_TokenHex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_SeedHex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_AccountIdHex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class Context(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`account` and `account_id` are null for an operator; `signing_key` is the seed of the key that signs this
    person's jobs, null until the first code is made; `agent_keys`: computer's name to pinned fingerprint.
    """

    version: int = CONTEXT_VERSION
    url: str
    ca: str
    role: str
    account: str | None = None
    account_id: _AccountIdHex | None = None
    token: _TokenHex
    signing_key: _SeedHex | None = None
    agent_keys: dict[str, str] = {}

    @property
    def creator_key(self) -> CreatorKey | None:
        return None if self.signing_key is None else CreatorKey(bytes.fromhex(self.signing_key))

    def __repr__(self) -> str:
        return f"Context(url={self.url!r}, role={self.role!r}, account={self.account!r})"


def load_context(path: Path) -> Context:
    try:
        with path.open("rb") as handle:
            mode = os.fstat(handle.fileno()).st_mode
            data = handle.read(CONTEXT_BYTES_MAX)
    except FileNotFoundError:
        raise Failure(
            "not_found", f"there is no context file {path}", "check --context FILE or $VAULTCTL_CONTEXT"
        ) from None
    except OSError as error:
        raise Failure("usage", f"context file {path} cannot be read: {error.strerror}", "") from None
    if stat.S_IMODE(mode) & 0o077:
        raise Failure(
            "not_allowed",
            f"context file {path} holds a token and other users may open it (mode {stat.S_IMODE(mode):04o})",
            f"run: chmod 600 {path}",
        )
    return _decode(path, data)


def save_context(path: Path, context: Context) -> None:
    """Replaces the file, or makes it."""
    written = _write_beside(path, context)
    os.replace(written, path)
    _sync_directory(path.parent)


def create_context(path: Path, context: Context) -> None:
    """Makes the file and never replaces one: the one that is there may be the only copy of its token."""
    written = _write_beside(path, context)
    try:
        os.link(written, path)
    except FileExistsError:
        raise Failure(
            "conflict", f"there is already a file {path}", "name another file, or move that one away"
        ) from None
    finally:
        written.unlink()
    _sync_directory(path.parent)


def check_new_context(path: Path) -> None:
    """Says no before anything was created at the vault whose token would then have no place."""
    if os.path.lexists(path):
        raise Failure("conflict", f"there is already a file {path}", "name another file, or move that one away")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise Failure("usage", f"no file can be made in {path.parent}", "name a file in a directory that you may write")


def pin_agent_key(path: Path, computer: str, fingerprint: str) -> None:
    """Remembers the key of a computer's agent; the file is read anew, another command may have changed it."""
    with _locked(path.parent):
        context = load_context(path)
        save_context(path, msgspec.structs.replace(context, agent_keys={**context.agent_keys, computer: fingerprint}))


def ensure_creator_key(path: Path) -> CreatorKey:
    """The key that signs this person's jobs; made, and on disk before it is returned, when there is none yet."""
    with _locked(path.parent):
        context = load_context(path)
        if context.creator_key is not None:
            return context.creator_key
        made = create_creator_key()
        save_context(path, msgspec.structs.replace(context, signing_key=made.seed.hex()))
        return made


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """On the directory, because the file itself is replaced. The kernel lets go when the process ends."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _decode(path: Path, data: bytes) -> Context:
    hint = "it is written by `vaultd init` or `vaultctl account create`"
    try:
        context = msgspec.json.decode(data, type=Context)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Failure("usage", f"{path} is not a context file: {error}", hint) from None
    if context.version != CONTEXT_VERSION:
        raise Failure("usage", f"{path} has version {context.version}, this program knows {CONTEXT_VERSION}", hint)
    return context


def _write_beside(path: Path, context: Context) -> Path:
    """A synced temporary file in the same directory, mode 0600 from the start."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(msgspec.json.format(msgspec.json.encode(context), indent=2) + b"\n")
            handle.flush()
            os.fsync(handle.fileno())
    except BaseException:
        os.unlink(name)
        raise
    return Path(name)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
