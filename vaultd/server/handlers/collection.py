"""Collections, for the operator."""

from protocol import messages as m
from vaultd.server import answers
from vaultd.server.request import Request


async def start(request: Request) -> m.CollectionStartAnswer:
    message: m.CollectionStartRequest = request.message
    number = request.vault.collections.ask(is_trial=message.is_trial)
    return m.CollectionStartAnswer(number, request.vault.started_ns)


async def state(request: Request) -> m.CollectionStateAnswer:
    message: m.CollectionStateRequest = request.message
    found = request.vault.collections.state(message.number)
    return answers.answer(
        found,
        m.CollectionStateAnswer,
        started_ns=request.vault.started_ns,
        begin_ns=found.begin_ns or None,
        end_ns=found.end_ns or None,
    )
