"""The session of a registered agent, and the way from a command into the event loop and back."""

import gc
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio

from tools.agent.state import Identity, StateDirectory
from tools.agent.vault.interrupt import Interrupt
from tools.client.failure import Failure, first_cause
from tools.client.offload import compute
from tools.client.question import Question
from tools.client.record_format import IntegrityError
from tools.client.session import Endpoint, VaultSession, connect

Answer = TypeVar("Answer")

PROGRAM = "vault-agent"


Talk = Callable[[VaultSession], Awaitable[Answer]]
Pause = Callable[[Exception], float]
"""How many seconds to wait before the next try after an error, or another error that ends it."""


def ask_vault(
    state: StateDirectory, identity: Identity, talk: Talk[Answer], pause_after: Pause | None = None,
    first: Question[Any] | None = None, meanwhile: Callable[[], object] | None = None,
) -> Answer:  # fmt: skip
    """Connects as this agent, talks, and closes the connection; with `pause_after` again and again until it is done.
    `first` is what will be asked first, if that is known. SIGINT and SIGTERM end in KeyboardInterrupt. `meanwhile` is
    done once in a worker thread while the first connection is being made.
    """
    endpoint = Endpoint(
        identity.url, identity.authority_pem, None, str(state.certificate_path), str(state.key_path)
    )  # fmt: skip

    async def connected() -> Answer:
        answers: list[Answer] = []
        async with trio.open_nursery() as nursery:
            interrupt = Interrupt(nursery.cancel_scope)
            await nursery.start(interrupt.watch)
            if meanwhile is not None:
                nursery.start_soon(compute, meanwhile)
            while not answers and not interrupt.came:
                try:
                    async with connect(endpoint, PROGRAM, first=first) as session:
                        with interrupt.work():
                            answers.append(await talk(session))
                except Exception as error:
                    if answers or interrupt.came or pause_after is None:
                        raise
                    await trio.sleep(pause_after(error))
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
