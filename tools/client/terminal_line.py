"""One line of a terminal that is written over. A module of its own: most runs have no terminal and need not load it."""

from rich.console import Console
from rich.live import Live
from rich.text import Text


class TerminalLine:
    """On standard error."""

    def __init__(self) -> None:
        self._live = Live(Text(""), console=Console(stderr=True), auto_refresh=False, transient=True)

    def start(self) -> None:
        self._live.start()

    def stop(self) -> None:
        self._live.stop()

    def show(self, text: str) -> None:
        self._live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)
