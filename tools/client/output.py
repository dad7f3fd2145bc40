"""The two ways in which every command speaks: text for people, and with `--json` documents or lines for scripts.

Data goes to standard output, everything else to standard error. This module stays light: a command must start fast.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

import click

from tools.client.failure import Failure
from tools.client.terminal_text import escape_text


@dataclass(frozen=True, slots=True)
class Output:
    json: bool = False

    def show(self, document: object, text: Callable[[], str]) -> None:
        """One answer: the document for scripts or the text for people, which is made only when it is needed."""
        click.echo(_json_text(document) if self.json else text())

    def line(self, document: dict[str, object]) -> None:
        """One of the JSON Lines of long work; people get nothing from it."""
        if self.json:
            click.echo(_json_text(document))

    def note(self, *lines: str) -> None:
        """A remark beside the data, for people and on standard error."""
        for line in lines:
            click.echo(escape_text(line), err=True)

    def fail(self, failure: Failure) -> None:
        """The sentence and the hint; with `--json` the last line of standard output is the same as an object."""
        click.echo(f"error: {escape_text(failure.message)}", err=True)
        if failure.hint:
            click.echo(f"hint: {escape_text(failure.hint)}", err=True)
        error = {"type": "error", "code": failure.code, "message": failure.message, "hint": failure.hint}
        self.line(error | failure.details)


def _json_text(document: object) -> str:
    """Readable names as they are; with control, bidirectional or invisible characters in it, all in ASCII."""
    text = json.dumps(document, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(document)
