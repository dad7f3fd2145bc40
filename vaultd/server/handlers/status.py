"""The vault's own figures, for the operator."""

from protocol import messages as m
from vaultd import offload
from vaultd.operations import clock_doubt, status
from vaultd.server import answers
from vaultd.server.request import Request
from vaultd.server.version import VAULTD_VERSION


async def vault_status(request: Request) -> m.VaultStatus:
    connections = len(request.service.sessions)
    found = await offload.read(status.vault_status, request.vault, VAULTD_VERSION, connections)
    return answers.answer(found, m.VaultStatus)


async def accept_clock(request: Request) -> m.ClockAcceptAnswer:
    accepted = await offload.write(clock_doubt.accept, request.vault, request.identity)
    return m.ClockAcceptAnswer(accepted.jump_seconds)
