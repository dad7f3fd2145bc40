"""The scrub, for the operator."""

from protocol import messages as m
from vaultd import offload
from vaultd.catalog.scrub_passes import ScrubPass
from vaultd.operations import scrub
from vaultd.server import answers
from vaultd.server.request import Request


async def begin(request: Request) -> m.ScrubBeginAnswer:
    return m.ScrubBeginAnswer(await offload.write(scrub.ask, request.vault, request.identity))


async def state(request: Request) -> m.ScrubStateAnswer:
    found = await offload.read(scrub.state, request.vault)
    return answers.answer(found, m.ScrubStateAnswer, going=_pass(found.going), last=_pass(found.last))


async def hit(request: Request) -> m.ScrubHitAnswer:
    message: m.ScrubHitRequest = request.message
    page = await offload.walk(scrub.hit, request.vault, message.after or b"")
    return m.ScrubHitAnswer([answers.answer(one, m.SafesetHit) for one in page.hits], page.next or None)


def _pass(found: ScrubPass | None) -> m.ScrubPass | None:
    return None if found is None else answers.answer(found, m.ScrubPass, ended_ns=found.ended_ns or None)
