"""The context file: where the vault is, its authority, the credentials of one identity and the agent keys it trusts.

JSON, readable by its owner only (it holds a token); replaced as a whole, so a crash leaves the old or the new one.
"""

import os
from pathlib import Path
from typing import Annotated

import msgspec

from tools.client.failure import Failure
from tools.client.private_file import create_private, read_private, replace_private

CONTEXT_VERSION = 1
CONTEXT_BYTES_MAX = 1024 * 1024

_TokenHex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_AccountIdHex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class Context(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`account` and `account_id` are null for an operator; `agent_keys`: computer's name to pinned fingerprint;
    `replaced_keys`: those of them whose computer's agent was to be replaced, until the new one's key is confirmed.
    """

    version: int = CONTEXT_VERSION
    url: str
    ca: str
    role: str
    account: str | None = None
    account_id: _AccountIdHex | None = None
    token: _TokenHex
    agent_keys: dict[str, str] = {}
    replaced_keys: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Context(url={self.url!r}, role={self.role!r}, account={self.account!r})"


def load_context(path: Path) -> Context:
    try:
        data = read_private(path, CONTEXT_BYTES_MAX)
    except FileNotFoundError:
        raise Failure(
            "not_found", f"there is no context file {path}", "check --context FILE or $VAULTCTL_CONTEXT"
        ) from None
    return _decode(path, data)


def save_context(path: Path, context: Context) -> None:
    """Replaces the file, or makes it."""
    replace_private(path, _encode(context))


def create_context(path: Path, context: Context) -> None:
    """Makes the file and never replaces one: the one that is there may be the only copy of its token."""
    try:
        create_private(path, _encode(context))
    except FileExistsError:
        raise Failure(
            "conflict", f"there is already a file {path}", "name another file, or move that one away"
        ) from None


def check_new_context(path: Path) -> None:
    """Says no before anything was created at the vault whose token would then have no place."""
    if os.path.lexists(path):
        raise Failure("conflict", f"there is already a file {path}", "name another file, or move that one away")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise Failure("usage", f"no file can be made in {path.parent}", "name a file in a directory that you may write")


def pin_agent_key(path: Path, computer: str, fingerprint: str) -> None:
    """Remembers the key of a computer's agent; the file is read anew, another command may have changed it."""
    context = load_context(path)
    if context.agent_keys.get(computer) == fingerprint:
        return
    replaced = {name: key for name, key in context.replaced_keys.items() if name != computer}
    pinned = {**context.agent_keys, computer: fingerprint}
    save_context(path, msgspec.structs.replace(context, agent_keys=pinned, replaced_keys=replaced))


def expect_another_key(path: Path, computer: str) -> None:
    """The pinned key of a computer that is to be replaced stays pinned; a person may now confirm another one. Names are
    unique regardless of case.
    """
    context = load_context(path)
    pinned = {name: key for name, key in context.agent_keys.items() if name.casefold() == computer.casefold()}
    if not pinned.items() <= context.replaced_keys.items():
        save_context(path, msgspec.structs.replace(context, replaced_keys={**context.replaced_keys, **pinned}))


def _decode(path: Path, data: bytes) -> Context:
    hint = "it is written by `vaultd init` or `vaultctl account create`"
    try:
        context = msgspec.json.decode(data, type=Context)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Failure("usage", f"{path} is not a context file: {error}", hint) from None
    if context.version != CONTEXT_VERSION:
        raise Failure("usage", f"{path} has version {context.version}, this program knows {CONTEXT_VERSION}", hint)
    return context


def _encode(context: Context) -> bytes:
    return msgspec.json.format(msgspec.json.encode(context), indent=2) + b"\n"
