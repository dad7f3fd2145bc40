"""A command line program: its groups and commands know `--json` in every place, and every error ends in an exit code.

Groups load the module of a command when it is used, so that a program's help does not wait for networking and ciphers.
"""

import gc
import importlib
import os
import resource
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from tools.client.failure import EXIT_OK, INTERRUPTED, Failure, describe, is_own_fault
from tools.client.output import Output

# The flag may stand before or after a command's words and must hold for errors in the words themselves: `Program.run`
# looks for it before anything is parsed, the option is there to be accepted and explained.
_JSON_FLAG = "--json"
# Help is as wide as the terminal, up to this; click's own limit is 80.
_HELP_COLUMNS_MAX = 120
# Longer than any first sentence: a list of commands wraps it and cuts none.
_SENTENCE_CHARACTERS_MAX = 1_000


def _json_option() -> click.Option:
    return click.Option(
        [_JSON_FLAG], is_flag=True, expose_value=False, help="One JSON document, or JSON Lines for long work."
    )


class Command(click.Command):
    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params.append(_json_option())

    def get_short_help_str(self, limit: int = _SENTENCE_CHARACTERS_MAX) -> str:
        """The whole first sentence, whatever room click gives it."""
        return super().get_short_help_str(_SENTENCE_CHARACTERS_MAX)


class Group(click.Group):
    command_class = Command

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params.append(_json_option())


@dataclass(frozen=True, slots=True)
class Part:
    """A command that lives in a module of its own, under the name `command`."""

    module: str
    help: str


class LazyGroup(Group):
    def __init__(self, *arguments: Any, parts: dict[str, Part], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.parts = parts

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.parts, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.parts:
            return super().get_command(ctx, cmd_name)
        gc.disable()  # what is loaded stays: looking through it again and again takes a tenth of the time
        try:
            command: click.Command = importlib.import_module(self.parts[cmd_name].module).command
        finally:
            gc.enable()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands from what is known without loading them."""
        rows = [(name, part.help) for name, part in self.parts.items()]
        rows += [(name, command.get_short_help_str()) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Program(LazyGroup):
    """The whole program: calling it runs it and exits."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, context_settings={"max_content_width": _HELP_COLUMNS_MAX}, **settings)

    def main(self, *arguments: Any, **settings: Any) -> Any:
        if not settings.get("standalone_mode", True):
            return super().main(*arguments, **settings)
        prepare_process()
        exit_code = self.run()
        # Else the interpreter looks for cycles in all that was loaded, once more before it ends.
        gc.freeze()
        sys.exit(exit_code)

    def invoke(self, ctx: click.Context) -> Any:
        """Ctrl-C becomes one sentence here, before click writes an empty line for it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise describe(error) from None

    def run(self, arguments: Sequence[str] | None = None) -> int:
        """The exit code: what the command returned, 0 for None, or that of the error, which has been told."""
        words = list(sys.argv[1:] if arguments is None else arguments)
        output = Output(json=_JSON_FLAG in words)
        try:
            result = super().main(words, prog_name=self.name, obj=output, standalone_mode=False)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            return error.exit_code
        except (click.ClickException, click.Abort) as error:
            return tell_error(output, _describe_click(error))
        except Exception as error:
            return tell_error(output, error)
        return result if isinstance(result, int) else EXIT_OK


def prepare_process() -> None:
    """What holds for every process of a program, before it does anything."""
    _open_streams()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # passwords and keys reach no core file
    signal.signal(signal.SIGTERM, _interrupt)


def _open_streams() -> None:
    """Where standard input, output or error is closed, the next file that is opened gets its number, and what is
    printed ends in it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def tell_error(output: Output, error: BaseException) -> int:
    """The end of a command by an error, which is told; its exit code."""
    failure = describe(error)
    if is_own_fault(error):
        traceback.print_exception(error)
    output.fail(failure)
    return failure.exit_code


def _interrupt(_number: int, _frame: object) -> None:
    """SIGTERM does what Ctrl-C does: everything that cleans up after itself does so."""
    signal.raise_signal(signal.SIGINT)


def _describe_click(error: click.ClickException | click.Abort) -> Failure:
    if isinstance(error, click.Abort):
        return Failure(INTERRUPTED, "interrupted")
    sentence = " ".join(error.format_message().split())  # click puts choices on a line of their own
    return Failure("usage", _lower_first(sentence).rstrip("."), _usage_hint(error))


def _usage_hint(error: click.ClickException) -> str:
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return ""
    root, path = error.ctx.find_root(), error.ctx.command_path
    option = error.option_name if isinstance(error, click.NoSuchOption) else ""
    if root is not error.ctx and any(option in parameter.opts for parameter in root.command.params):
        return f"{option} stands before the command: {root.command_path} {option} … {path.partition(' ')[2]}"
    return f"see `{path} --help`"


def _lower_first(sentence: str) -> str:
    """Click's sentences as ours begin; not the name of an option or argument that stands first."""
    return sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() else sentence
