"""What waits to be told to the services of agents: in memory only, one box for each connection that asks for work.

Invariants: a box holds at most the jobs and the open restore orders of its computer, each once. It is opened before the
catalog is looked at, so that nothing is missed between the two, and goes with its connection. Whoever waits holds no
thread.
Threads: the event loop only.
"""

from dataclasses import dataclass, field

import trio

from protocol.limits import WORK_SECONDS
from vaultd.server.session import Session


@dataclass(slots=True)
class Box:
    """Ids of jobs, and of restore orders. A cancel comes before what was asked for after it."""

    run: dict[bytes, None] = field(default_factory=dict)
    cancel: dict[bytes, None] = field(default_factory=dict)
    restore: dict[bytes, None] = field(default_factory=dict)
    changed: trio.Event = field(default_factory=trio.Event)

    @property
    def is_empty(self) -> bool:
        return not (self.run or self.cancel or self.restore)


class WorkBook:
    def __init__(self) -> None:
        self._by_computer: dict[bytes, dict[Session, Box]] = {}
        self._is_closed = False

    def __len__(self) -> int:
        return sum(map(len, self._by_computer.values()))

    def open(self, session: Session) -> None:
        """From now on what comes for its computer is kept for this connection."""
        self._by_computer.setdefault(session.identity.computer_id, {}).setdefault(session, Box())

    async def wait(self, session: Session) -> None:
        """Until there is something, some minutes at most; a later wait of the same connection ends this one."""
        box = self._by_computer[session.identity.computer_id][session]
        box.changed.set()
        box.changed = trio.Event()
        if box.is_empty and not self._is_closed:
            with trio.move_on_after(WORK_SECONDS):
                await box.changed.wait()

    def take(self, session: Session) -> Box:
        """What is there now; it is told once."""
        box = self._by_computer.get(session.identity.computer_id, {}).get(session, Box())
        taken = Box(box.run, box.cancel, box.restore)
        box.run, box.cancel, box.restore = {}, {}, {}
        return taken

    def ask_run(self, computer_id: bytes, job_id: bytes) -> None:
        for box in self._by_computer.get(computer_id, {}).values():
            box.run[job_id] = None
            box.changed.set()

    def cancel(self, computer_id: bytes, job_id: bytes) -> None:
        for box in self._by_computer.get(computer_id, {}).values():
            box.run.pop(job_id, None)
            box.cancel[job_id] = None
            box.changed.set()

    def ask_restore(self, computer_id: bytes, order_id: bytes) -> None:
        for box in self._by_computer.get(computer_id, {}).values():
            box.restore[order_id] = None
            box.changed.set()

    def cancel_restore(self, computer_id: bytes, order_id: bytes) -> None:
        for box in self._by_computer.get(computer_id, {}).values():
            box.restore.pop(order_id, None)
            box.cancel[order_id] = None
            box.changed.set()

    def is_waited(self, computer_id: bytes) -> bool:
        """Whether the service of this computer is connected."""
        return computer_id in self._by_computer

    def wake(self, computer_id: bytes) -> None:
        """Something else changed: who waits looks again."""
        for box in self._by_computer.get(computer_id, {}).values():
            box.changed.set()

    def forget_connection(self, session: Session) -> None:
        for computer_id, boxes in list(self._by_computer.items()):
            if boxes.pop(session, None) is not None and not boxes:
                del self._by_computer[computer_id]

    def close(self) -> None:
        """The vault stops: whoever waits gets the answer that there is nothing."""
        self._is_closed = True
        for boxes in self._by_computer.values():
            for box in boxes.values():
                box.changed.set()
