"""The identity that a command runs under: its context file, its output, and a session with its vault."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
import trio

from tools.client.context import Context, load_context
from tools.client.failure import Failure
from tools.client.output import Output
from tools.client.session import Endpoint, VaultSession, connect

Answer = TypeVar("Answer")

PROGRAM = "vaultctl"


def output_of(click_context: click.Context) -> Output:
    output: Output = click_context.find_root().obj
    return output


def context_file(click_context: click.Context) -> Path:
    path: Path | None = click_context.find_root().params["context"]
    if path is None:
        raise Failure("usage", "no context was given", "give --context FILE, or name the file in $VAULTCTL_CONTEXT")
    return path


def context_of(click_context: click.Context) -> Context:
    return load_context(context_file(click_context))


def ask_vault(click_context: click.Context, ask: Callable[[VaultSession], Awaitable[Answer]]) -> Answer:
    """Connects, signs in, asks, and closes the connection."""
    context = context_of(click_context)
    endpoint = Endpoint(context.url, context.ca, token=bytes.fromhex(context.token))

    async def talk() -> Answer:
        async with connect(endpoint, PROGRAM) as session:
            return await ask(session)

    return trio.run(talk)
