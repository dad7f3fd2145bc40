"""Tables and lists of fields for people: aligned, without boxes, safe for a terminal whatever the names contain."""

import io
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tools.client.terminal_text import escape_text

# Where output is no terminal nothing is wrapped: a line is a row for whatever reads it.
_UNWRAPPED_COLUMNS = 10_000
_NOTHING = ("", "-")


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    right: bool = False


def table_text(columns: Sequence[Column], rows: Iterable[Sequence[str]], empty: str) -> str:
    """The table without the columns that say nothing, or the sentence `empty` where there is no row."""
    cells = [[escape_text(cell) for cell in row] for row in rows]
    if not cells:
        return empty
    shown = [number for number in range(len(columns)) if any(row[number] not in _NOTHING for row in cells)]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in (columns[number] for number in shown):
        table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(row[number]) for number in shown))
    return _render(table)


def fields_text(fields: Iterable[tuple[str, str]]) -> str:
    """One line each: the name, then the value."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        table.add_row(Text(name), Text(escape_text(value)))
    return _render(table)


def frame_text(title: str, lines: Sequence[str]) -> str:
    """A few lines that must not be overlooked."""
    return _render(
        Panel(Text("\n".join(escape_text(line) for line in lines)), title=title, expand=False, padding=(1, 2))
    )


def _render(content: RenderableType) -> str:
    console = Console(file=io.StringIO(), force_terminal=sys.stdout.isatty(), width=_width())
    with console.capture() as capture:
        console.print(content)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _width() -> int:
    return Console().width if sys.stdout.isatty() else _UNWRAPPED_COLUMNS
