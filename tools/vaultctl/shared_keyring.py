"""A new job in the keyring of another one: what it is warned of, and how it is asked for."""

import sys
from dataclasses import dataclass
from functools import partial

import click

from protocol.messages import JobDefinition, KeyringJoin
from tools.client.failure import Failure
from tools.client.held_keyring import HeldKeyring, hold_keyring
from tools.client.keyring import signing_public_key
from tools.client.output import Output
from tools.client.rotate import join_keyring
from tools.vaultctl.confirmation import confirm
from tools.vaultctl.confirmed_agent import ConfirmedAgent
from tools.vaultctl.identity import ask_vault
from tools.vaultctl.keyring_change import join_change, new_keys_for

WARNING = (
    "warning: all jobs of a keyring open with one password, and with one recovery code; and a computer of them that was"
    " broken into can spoil what the others store later, for it can say that content is there which is not"
)


@dataclass(frozen=True, slots=True)
class Member:
    """The job whose keyring it is."""

    computer: str
    job: str


def member_of(text: str, computer: str) -> Member:
    """JOB of the same computer, or COMPUTER/JOB: names hold no `/`."""
    other, slash, job = text.partition("/")
    member = Member(other, job) if slash else Member(computer, text)
    if not member.computer or not member.job:
        raise Failure("usage", f"--keyring is JOB or COMPUTER/JOB, not {text!r}", "see `vaultctl job list COMPUTER`")
    return member


def confirm_sharing(output: Output, *, is_agreed: bool) -> None:
    output.note(WARNING)
    if is_agreed:
        return
    if not sys.stdin.isatty():
        raise Failure("usage", "no job was created: nobody can be asked here", "give --yes if you accept the warning")
    confirm("Share the keyring?", "no job was created")


def hold_shared(ctx: click.Context, member: Member, password: str, definition: JobDefinition) -> HeldKeyring:
    """Opened with its password: a wrong one is exit 12, before anything is created."""
    held = ask_vault(ctx, partial(hold_keyring, computer=member.computer, job=member.job, secret=password))
    minimum = held.keyring.newest.minimum_suite
    if definition.suite < minimum:
        raise Failure("usage", f"the keyring takes suite {minimum} and above only", "choose another --cipher")
    return held


def join_of(
    held: HeldKeyring, password: str, code: bytes | None, job_id: bytes, agent: ConfirmedAgent
) -> tuple[KeyringJoin, bytes]:
    """What the vault is sent beside the job, and the message that brings the agent its keys. Slow: Argon2id."""
    joined = join_keyring(held.keyring, job_id)
    signing_key = signing_public_key(joined.signing_seed(job_id, joined.newest.number))
    join = KeyringJoin(join_change(held, joined, password, code), signing_key)
    return join, new_keys_for(joined, job_id, agent)
