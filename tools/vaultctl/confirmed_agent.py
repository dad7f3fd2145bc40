"""The agent of a computer as somebody confirmed it, and with what its messages are signed."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from tools.client import calls
from tools.client.context import Context
from tools.client.creator_key import CreatorKey
from tools.client.failure import Failure
from tools.client.job_secret import Recipient
from tools.client.signing_file import load_creator_key, signing_file
from tools.vaultctl.agent_trust import AgentKeys, Trust, trusted_fingerprint
from tools.vaultctl.identity import ask_vault, context_file, context_of


@dataclass(frozen=True, slots=True)
class ConfirmedAgent:
    """An agent whose key was confirmed, and the key that it knows the creator of its jobs by."""

    computer: str
    account_id: bytes
    computer_id: bytes
    recipient: Recipient
    creator: CreatorKey


def confirm_agent(ctx: click.Context, computer: str, trust: Trust) -> ConfirmedAgent:
    path, context = context_file(ctx), context_of(ctx)
    account_id, creator = _account_id(path, context), _creator_key(path)
    answer = ask_vault(ctx, partial(calls.show_computer, computer=computer))
    keys = AgentKeys(computer=computer, tls_key=answer.tls_key, sealing_key=answer.sealing_key)
    fingerprint = trusted_fingerprint(keys, trust, path, context)
    recipient = Recipient(answer.sealing_key, fingerprint)
    return ConfirmedAgent(computer, account_id, answer.computer.computer_id, recipient, creator)


def _account_id(path: Path, context: Context) -> bytes:
    if context.account_id is None:
        raise Failure(
            "not_allowed",
            f"context file {path} is not an administrator's: it names no account",
            "use the context that `vaultctl account create` wrote",
        )
    return bytes.fromhex(context.account_id)


def _creator_key(context_file: Path) -> CreatorKey:
    """Not made here: an agent takes the jobs of the key in its invite code, and no code has one made now."""
    creator = load_creator_key(context_file)
    if creator is None:
        raise Failure(
            "not_allowed",
            f"there is no {signing_file(context_file)}: no computer was invited with this context, so no agent takes"
            " its jobs",
            "use the context that invited the computer, with its signing key beside it; or `vaultctl computer invite`"
            " and register the agent anew",
        )
    return creator
