"""Puts the service together: local socket, link with the vault, workbench; and ends it in order.

It holds the lock of the state directory, and its children hold it with it; so nobody else writes there meanwhile.
SIGTERM or SIGINT: nothing new is taken, and what goes on is interrupted as by Ctrl-C; a second one kills it.
"""

import signal

import trio

from protocol.messages import AgentWorkAnswer
from tools.agent.local import local_socket
from tools.agent.local.orders import AskedOrder, AskedRestore
from tools.agent.service.counter import serve_orders
from tools.agent.service.vault_link import VaultLink
from tools.agent.service.workbench import Piece, Workbench
from tools.agent.state import Identity, StateDirectory
from tools.agent.system.systemd import notify
from tools.agent.vault.connection import PROGRAM
from tools.client.failure import EXIT_OK, EXIT_WARNINGS, INTERRUPTED, Failure
from tools.client.output import Output
from tools.client.session import Endpoint
from tools.client.terminal_text import escape_text

# What is asked for and ended otherwise may not have begun: it is tried again as long as it is asked for. A restore that
# was carried out, however it ended, is settled.
RETRY_FIRST_SECONDS = 60.0
RETRY_LAST_SECONDS = 3600.0
_SETTLED = (EXIT_OK, EXIT_WARNINGS, Failure(INTERRUPTED, "").exit_code, Failure("not_found", "").exit_code)

_Asked = AskedOrder | AskedRestore


class Service:
    def __init__(self, state: StateDirectory, identity: Identity, lock: int, output: Output) -> None:
        """`lock` is the descriptor that holds the state's lock."""
        self._state = state
        self._identity = identity
        self._output = output
        self._bench = Workbench(state, lock)
        self._retry_seconds: dict[_Asked, float] = {}
        self._failure: Failure | None = None

    async def run(self) -> None:
        """Until a signal comes; raises the Failure that ended it."""
        listener = local_socket.listen(self._state.path)
        with listener:
            async with trio.open_nursery() as watch:
                async with trio.open_nursery() as pieces:
                    async with trio.open_nursery() as front:
                        await watch.start(self._watch_signals, front.cancel_scope, pieces.cancel_scope)
                        front.start_soon(serve_orders, listener, self._bench, pieces)
                        front.start_soon(self._keep_link, front, pieces)
                        self._tell_ready()
                    notify("STOPPING=1")
                    local_socket.unlink(self._state.path)
                    self._bench.close()
                watch.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    async def _watch_signals(
        self, front: trio.CancelScope, pieces: trio.CancelScope, task_status: trio.TaskStatus[None]
    ) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for _ in signals:
                if front.cancel_called:
                    pieces.cancel()
                front.cancel()

    def _tell_ready(self) -> None:
        identity = self._identity
        document = {"type": "ready", "computer": identity.computer, "url": identity.url}
        self._output.show(document, lambda: f"ready: {escape_text(identity.computer)} waits for work of {identity.url}")
        notify("READY=1")

    async def _keep_link(self, front: trio.Nursery, pieces: trio.Nursery) -> None:
        identity, state = self._identity, self._state
        files = str(state.certificate_path), str(state.key_path)
        endpoint = Endpoint(identity.url, identity.authority_pem, None, *files)

        def take(answer: AgentWorkAnswer) -> None:
            for id_ in answer.cancel:
                if self._bench.cancel_job(id_):
                    self._output.note(f"the run of job {escape_text(state.job_name(id_))} was cancelled at the vault")
                self._bench.cancel_restore(id_)
            for job_id in answer.run:
                self._begin(AskedOrder(job_id=job_id, json=self._output.json), front, pieces)
            for order_id in answer.restore:
                self._begin(AskedRestore(order_id=order_id, json=self._output.json), front, pieces)

        try:
            await VaultLink(endpoint, PROGRAM, take, self._output.note).keep()
        except Failure as failure:
            self._failure = failure
            front.cancel_scope.cancel()

    def _begin(self, order: _Asked, front: trio.Nursery, pieces: trio.Nursery) -> None:
        if not (self._bench.is_closed or self._is_there(order)):
            pieces.start_soon(self._carry_out, order, front, pieces)

    def _is_there(self, order: _Asked) -> bool:
        """A restore is asked for once; a run that goes on may be asked for again."""
        if isinstance(order, AskedRestore):
            return self._bench.has_restore(order.order_id)
        return self._bench.is_waiting(order.job_id)

    async def _carry_out(self, order: _Asked, front: trio.Nursery, pieces: trio.Nursery) -> None:
        piece = Piece(order)
        ended = await self._bench.carry_out(piece, _tell_nobody)
        if ended.message:
            self._output.note(f"{piece.text}: {ended.message}")
        if ended.exit_code in _SETTLED:
            self._retry_seconds.pop(order, None)
        elif not self._bench.is_closed:
            front.start_soon(self._begin_later, order, front, pieces)

    async def _begin_later(self, order: _Asked, front: trio.Nursery, pieces: trio.Nursery) -> None:
        pause_seconds = self._retry_seconds.get(order, RETRY_FIRST_SECONDS)
        self._retry_seconds[order] = min(2 * pause_seconds, RETRY_LAST_SECONDS)
        await trio.sleep(pause_seconds)
        self._begin(order, front, pieces)


async def _tell_nobody(_behind: str) -> None:
    await trio.lowlevel.checkpoint()
