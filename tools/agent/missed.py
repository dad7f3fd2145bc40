"""What a run or a restore could not do, path by path: all counted, the first thousand kept by name."""

from collections import Counter

from tools.client.output import Output
from tools.client.terminal_text import escape_path

KEPT_MAX = 1000


class Missed:
    """For one thread at a time."""

    def __init__(self) -> None:
        self.codes: Counter[str] = Counter()
        self.kept: list[tuple[bytes, str]] = []

    @property
    def count(self) -> int:
        return self.codes.total()

    def add(self, path: bytes, code: str) -> None:
        self.codes[code] += 1
        if len(self.kept) < KEPT_MAX:
            self.kept.append((path, code))


def tell_missed(output: Output, missed: Missed) -> None:
    """Each path that is kept, and how many more there are."""
    for path, code in missed.kept:
        shown = "/" + escape_path(path)
        output.line({"type": "warning", "path": shown, "code": code})
        if not output.json:
            output.note(f"warning: {code}: {shown}")
    if missed.count > len(missed.kept):
        output.note(f"warning: {missed.count - len(missed.kept)} more")
