"""Collections, for the operator."""

from protocol import messages as m
from vaultd.server import answers
from vaultd.server.request import Request


async def start(request: Request) -> m.CollectionStartAnswer:
    message: m.CollectionStartRequest = request.message
    return m.CollectionStartAnswer(request.vault.collections.ask(is_trial=message.is_trial))


async def state(request: Request) -> m.CollectionState:
    return answers.answer(request.vault.collections.state(), m.CollectionState)
