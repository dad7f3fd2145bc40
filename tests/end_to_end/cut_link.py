"""A link that is cut: forwards TCP between agent and vault, and ends all connections when so many bytes have passed.

Threads: one that accepts, and two for each connection, of which one closes it. It knows nothing of what it forwards.
"""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_PIECE_BYTES = 16_384


@dataclass
class CutLink:
    """`cuts` are counts of bytes, both ways together over all connections, ascending; each ends what is open then."""

    address: tuple[str, int]
    cuts: list[int]
    url: str = ""
    passed_bytes: int = 0
    cut_at: list[int] = field(default_factory=list)
    _open: list[socket.socket] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                vault = socket.create_connection(self.address)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open += [client, vault]
            threading.Thread(target=self._connect, args=(client, vault), daemon=True).start()

    def cut(self) -> None:
        with self._lock:
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self._open.clear()

    def _connect(self, client: socket.socket, vault: socket.socket) -> None:
        with client, vault:
            back = threading.Thread(target=self._forward, args=(vault, client), daemon=True)
            back.start()
            self._forward(client, vault)
            back.join()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                with self._lock:
                    begin = self.passed_bytes
                    self.passed_bytes += len(piece)
                    is_cut = bool(self.cuts) and self.passed_bytes >= self.cuts[0]
                    if is_cut:
                        piece = piece[: self.cuts[0] - begin]
                        self.cut_at.append(self.cuts.pop(0))
                sink.sendall(piece)
                if is_cut:
                    self.cut()
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


@contextmanager
def cut_link(url: str, cuts: Sequence[int] = ()) -> Iterator[CutLink]:
    """`CutLink.url` is where an agent reaches the vault at `url` through it."""
    host, port = urlsplit(url).netloc.rsplit(":", 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        link = CutLink((host, int(port)), sorted(cuts), f"https://127.0.0.1:{listener.getsockname()[1]}")
        threading.Thread(target=link.serve, args=(listener,), daemon=True).start()
        yield link
        link.cut()
        listener.shutdown(socket.SHUT_RDWR)
