"""`vault-agent register`: keys for this computer, and the vault's word for who it is."""

import socket
from pathlib import Path
from typing import Any

import click

from protocol.messages import RegisterAnswer, RegisterRequest
from tools.agent.commands.context import output_of, state_path
from tools.agent.state import Identity, StateDirectory, create_state, lock_state
from tools.agent.vault.connection import PROGRAM, run_loop
from tools.client.agent_key import AgentKey, create_agent_key
from tools.client.certificate_request import certificate_request
from tools.client.code_file import read_code_file
from tools.client.failure import Failure
from tools.client.fingerprint import fingerprint_text
from tools.client.first_contact import fetch_authority
from tools.client.invite_code import InviteCode, parse_invite_code
from tools.client.named_path import NamedPath
from tools.client.program import Command
from tools.client.session import Endpoint, connect
from tools.client.tables import fields_text
from tools.client.terminal_text import escape_text


@click.command("register", cls=Command)
@click.argument("url")
@click.option("--code", help="What `vaultctl computer invite` printed; others on this computer can read it.")
@click.option(
    "--code-file",
    metavar="FILE",
    help="File with that code instead (mode 0600: whoever reads it can use it); - is standard input.",
)
@click.option("--ca", type=NamedPath(), metavar="FILE", help="The site's authority certificate.")
@click.option("--name", help="This computer's name in the account; its host name without it. A code may fix it.")
@click.pass_context
def command(ctx: click.Context, url: str, ca: Path | None, name: str | None, **options: Any) -> None:
    """Makes this computer known to the vault at URL and keeps its identity in the state directory.

    Shows the fingerprint of the agent's key: whoever creates a job for this computer compares it. The code must come
    from that person: this agent takes no job that another key than the one in the code signed.
    """
    if name == "":
        raise Failure("usage", "--name is empty", "leave it out for the host name; a shell variable may not be set")
    invite = _invite(**options)
    computer = socket.gethostname() if name is None else name
    ca_pem = None if ca is None else _read_authority(ca)
    state = create_state(state_path(ctx))
    with lock_state(state):
        if state.is_registered():
            raise Failure("conflict", f"{state.path} belongs to an agent that is registered", "use another --state")
        key = _agent_key(state)
        answer, authority_pem = run_loop(lambda: _register(url, invite, computer, key, ca_pem))
        agent_key = fingerprint_text(key.fingerprint)
        creator = fingerprint_text(invite.creator_fingerprint)
        state.save_identity(_identity(url, answer, authority_pem, agent_key, creator))
    if answer.name != computer:
        output_of(ctx).note(
            f"note: the code replaces the computer {escape_text(answer.name)}: that is its name, not {computer}",
            "next, for each of its jobs (see `vault-agent status`): `vault-agent restore JOB --target DIR` for what is"
            " to come back, `vault-agent adopt JOB`, `vault-agent backup JOB`",
        )
    document = {"computer": answer.name, "agent_key": agent_key, "creator": creator}
    output_of(ctx).show(
        document,
        lambda: fields_text(
            [("registered as", answer.name), ("key of this agent", agent_key), ("takes jobs signed with", creator)]
        ),
    )


def _invite(code: str | None, code_file: str | None) -> InviteCode:
    if code is not None and code_file is None:
        return parse_invite_code(code)
    if code is None and code_file is not None:
        return parse_invite_code(read_code_file(code_file, "invite code"))
    raise Failure("usage", "give the invite code with one of --code-file FILE and --code CODE")


def _agent_key(state: StateDirectory) -> AgentKey:
    """In the state before the vault hears of it: where the answer is lost, the same command again gets it."""
    saved = state.load_keys()
    if saved is not None:
        return AgentKey(*saved)
    key = create_agent_key()
    state.save_keys(key.tls_private_pem, key.sealing_private)
    return key


async def _register(
    url: str, invite: InviteCode, computer: str, key: AgentKey, ca_pem: str | None
) -> tuple[RegisterAnswer, str]:
    authority_pem = ca_pem or await fetch_authority(url, invite.authority_fingerprint)
    async with connect(Endpoint(url, authority_pem), PROGRAM) as session:
        request = RegisterRequest(invite.secret, computer, certificate_request(key, computer), key.sealing_public)
        answer, _ = await session.ask("register", request, RegisterAnswer)
    return answer, authority_pem


def _identity(url: str, answer: RegisterAnswer, authority_pem: str, agent_key: str, creator: str) -> Identity:
    """The authority is the one that the connection was checked against, not the one that the answer names."""
    return Identity(
        url=url,
        vault_id=answer.vault_id.hex(),
        vault_key=answer.vault_key.hex(),
        account_id=answer.account_id.hex(),
        computer_id=answer.computer_id.hex(),
        computer=answer.name,
        kind=answer.kind,
        authority_pem=authority_pem,
        certificate_pem=answer.certificate_pem,
        agent_key=agent_key,
        creator=creator,
    )


def _read_authority(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Failure(
            "usage", f"{path} cannot be read as a certificate: {why}", "it is a copy of the vault's authority.pem"
        ) from None
