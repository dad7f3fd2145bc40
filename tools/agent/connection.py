"""The session of a registered agent, and the way from a command into the event loop and back."""

import gc
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from tools.agent.interrupt import Interrupt
from tools.agent.state import Identity, StateDirectory
from tools.client.failure import Failure, first_cause
from tools.client.record_format import IntegrityError
from tools.client.session import Endpoint, VaultSession, connect

Answer = TypeVar("Answer")

PROGRAM = "vault-agent"


def ask_vault(state: StateDirectory, identity: Identity, talk: Callable[[VaultSession], Awaitable[Answer]]) -> Answer:
    """Connects as this agent, talks, and closes the connection. SIGINT and SIGTERM end in KeyboardInterrupt."""
    endpoint = Endpoint(
        identity.url, identity.authority_pem, None, str(state.certificate_path), str(state.key_path)
    )  # fmt: skip

    async def connected() -> Answer:
        answers: list[Answer] = []
        async with trio.open_nursery() as nursery:
            interrupt = Interrupt(nursery.cancel_scope)
            await nursery.start(interrupt.watch)
            async with connect(endpoint, PROGRAM) as session:
                with interrupt.work():
                    answers.append(await talk(session))
            nursery.cancel_scope.cancel()
        if interrupt.came:
            raise KeyboardInterrupt
        return answers[0]

    return run_loop(connected)


def collect_garbage_rarely() -> None:
    """Long work keeps many objects alive and makes no cycles; looking for those costs it a fifth of its time."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def run_loop(work: Callable[[], Awaitable[Answer]]) -> Answer:
    """Runs it; of a group of errors the one that a person should read comes out."""
    try:
        return trio.run(work)
    except BaseException as error:
        cause = first_cause(error)
        if isinstance(cause, IntegrityError):
            raise Failure("damaged", str(cause), "if it happens again, ask the vault's operator") from error
        if cause is not error:
            raise cause from error
        raise
