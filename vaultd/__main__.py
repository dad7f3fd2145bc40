"""The `vaultd` command: init, serve, check, rebuild, demo.

What a command needs is imported when it runs, so that help and mistakes in the words answer at once.
"""

import importlib
import json
import os
import resource
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from vaultd.errors import VaultError
from vaultd.server.version import VAULTD_VERSION

JSON_FLAG = "--json"
# Help is as wide as the terminal, up to this; click's own limit is 80.
_HELP_COLUMNS_MAX = 120
# Longer than any first sentence: the list of commands wraps it and cuts none.
_SENTENCE_CHARACTERS_MAX = 1_000
EXIT_OK, EXIT_FAILED, EXIT_DAMAGE, EXIT_INTERRUPTED = 0, 1, 9, 130


class Directory(click.Path):
    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":  # a shell variable that was not set; `Path` would make it the current directory
            name = "the directory" if param is None or isinstance(param, click.Argument) else param.opts[0]
            raise click.UsageError(f"{name} is empty", ctx)
        return super().convert(value, param, ctx)


DIRECTORY = Directory()


def _json_option() -> click.Option:
    # Accepted and explained here; `run` looks for it before anything is parsed: errors in the words obey it too.
    return click.Option([JSON_FLAG], is_flag=True, expose_value=False, help="Answer with JSON.")


class Command(click.Command):
    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params.append(_json_option())

    def get_short_help_str(self, limit: int = _SENTENCE_CHARACTERS_MAX) -> str:
        """The whole first sentence, whatever room click gives it."""
        return super().get_short_help_str(_SENTENCE_CHARACTERS_MAX)


class Program(click.Group):
    """The whole program: calling it runs it and exits; every error becomes a sentence and a code here."""

    command_class = Command

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, context_settings={"max_content_width": _HELP_COLUMNS_MAX}, **settings)
        self.params.append(_json_option())

    def main(self, *arguments: Any, **settings: Any) -> Any:
        if not settings.get("standalone_mode", True):
            return super().main(*arguments, **settings)
        _open_streams()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # keys and proofs reach no core file
        sys.exit(self.run())

    def run(self, arguments: Sequence[str] | None = None) -> int:
        """The exit code: what the command returned, 0 for None, or that of the error, which has been told."""
        words = list(sys.argv[1:] if arguments is None else arguments)
        as_json = JSON_FLAG in words
        try:
            result = super().main(words, prog_name=self.name, standalone_mode=False, obj=as_json)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            return error.exit_code
        except Exception as error:
            return _fail(error, as_json=as_json)
        return result if isinstance(result, int) else EXIT_OK


def _open_streams() -> None:
    """Where standard input, output or error is closed, the next file that is opened gets its number, and what is
    printed ends in it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


@click.group(cls=Program, name="vaultd")
@click.version_option(version=VAULTD_VERSION, message="%(prog)s %(version)s")
def main() -> None:
    """The vault daemon: keeps sealed backups of many computers on its disks."""


@main.command()
@click.argument("directory", type=DIRECTORY, metavar="DIR")
@click.option("--name", default="vault", metavar="NAME", help="What people call this vault.")
@click.option("--place", default="", metavar="TEXT", help="Where it stands.")
@click.option("--listen", default="127.0.0.1:8443", metavar="HOST:PORT", help="Port 0 chooses a free one now.")
@click.option(
    "--host", "hosts", multiple=True, metavar="NAME",
    help="Name or address by which others reach this machine; may be repeated. The first one is the url's.",
)  # fmt: skip
@click.option("--disk", "disks", multiple=True, type=DIRECTORY, metavar="DIR", help="A data disk; may be repeated.")
@click.pass_obj
def init(as_json: bool, directory: Path, hosts: tuple[str, ...], disks: tuple[Path, ...], **settings: str) -> None:
    """Make a vault in DIR: keys, authority, settings, operator's context."""
    created = _late("vaultd.daemon.create").create_vault(directory, settings, disks, hosts)
    known_as = ", ".join(created.hosts)
    click.echo(f"note: its certificate is for {known_as} and this machine itself", err=True)
    if not hosts:
        click.echo("note: if others reach it by another name or address, name it with --host", err=True)
    if as_json:
        click.echo(json.dumps({"url": created.url, "ca": created.ca, "context": created.context}))
        return
    rows = [("name", created.name), ("directory", directory), ("url", created.url), ("context", created.context)]
    click.echo("\n".join(f"{label:<11}{text}" for label, text in rows))
    click.echo(
        "\nThe context holds the operator's token: keep it secret.\n"
        f"Start with: vaultd serve {directory}\n"
        f"Then make an account: vaultctl --context {created.context} account create NAME",
        err=True,
    )


@main.command()
@click.argument("directory", type=DIRECTORY, metavar="DIR")
def serve(directory: Path) -> int:
    """Run the vault in DIR until SIGTERM or Ctrl-C."""
    exit_code: int = _late("vaultd.daemon.serve").serve(directory)
    return exit_code


@main.command()
@click.argument("directory", type=DIRECTORY, metavar="DIR")
@click.option("--read-data", is_flag=True, help="Read every record and compare its checksum.")
@click.pass_obj
def check(as_json: bool, directory: Path, read_data: bool) -> int:
    """Check the vault in DIR while no daemon runs on it."""
    exit_code: int = _late("vaultd.daemon.check").check(directory, read_data=read_data, as_json=as_json)
    return exit_code


@main.command()
@click.argument("directory", type=DIRECTORY, metavar="DIR")
@click.option("--index-only", is_flag=True, help="Leave the catalog as it is.")
@click.pass_obj
def rebuild(as_json: bool, directory: Path, index_only: bool) -> int:
    """Make index and catalog of the vault in DIR anew, while no daemon runs on it."""
    exit_code: int = _late("vaultd.daemon.rebuild").rebuild(directory, index_only=index_only, as_json=as_json)
    return exit_code


@main.command()
@click.option("--dir", "directory", type=DIRECTORY, metavar="D", help="Work here and keep it; else a temporary one.")
@click.option("--source", type=DIRECTORY, metavar="PATH", help="Copy these files; else some of the system's.")
@click.option("--once", is_flag=True, help="End after the comparison.")
@click.pass_obj
def demo(as_json: bool, directory: Path | None, source: Path | None, once: bool) -> int:
    """Back up, change, back up, restore and compare real files."""
    story = _late("vaultd.demo.story")
    options = story.DemoOptions(directory, source, once)
    results = story.run_demo(options, _ignore if as_json else click.echo, lambda text: click.echo(text, err=True))
    if as_json:
        click.echo(json.dumps(_late("vaultd.demo.screen").summary(results)))
    return EXIT_OK if results.identical else EXIT_DAMAGE


def _fail(error: Exception, *, as_json: bool) -> int:
    code, exit_code, message, hint = _describe(error)
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
    if as_json:
        click.echo(json.dumps({"type": "error", "code": code, "message": message, "hint": hint}))
    return exit_code


def _describe(error: Exception) -> tuple[str, int, str, str]:
    """Code, exit code, sentence and hint; what nobody expected also shows where it happened."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    match error:
        case click.Abort():
            return "interrupted", EXIT_INTERRUPTED, "interrupted", ""
        case click.ClickException():
            sentence = error.format_message().rstrip(".")
            context = error.ctx if isinstance(error, click.UsageError) else None
            path = context.command_path if context is not None else "vaultd"
            return "usage", error.exit_code, sentence[:1].lower() + sentence[1:], f"see `{path} --help`"
        case VaultError():
            return error.code, error.exit_code, error.message, error.hint
        case OSError():
            place = f"{error.filename}: " if error.filename is not None else ""
            return "failed", EXIT_FAILED, f"{place}{error.strerror or error}", ""
    traceback.print_exception(error)
    return "internal", EXIT_FAILED, f"unexpected {type(error).__name__}: {error}", "please report this"


def _late(module: str) -> Any:
    return importlib.import_module(module)


def _ignore(_text: str) -> None:
    return


if __name__ == "__main__":
    main()
