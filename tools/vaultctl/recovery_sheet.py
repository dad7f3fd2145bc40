"""The recovery code as a page to print and put away: plain text, or HTML that needs nothing else; German and English.

The file is for its owner only and never replaces one: it may be the only copy of another code.
"""

import html
import os
import shlex
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.client.failure import Failure
from tools.client.private_file import create_private
from tools.client.terminal_text import escape_text

_WIDTH = 78
_GROUPS_A_LINE = 4
_MEDIUM = "put the file on an encrypted medium or print it, then remove it from this computer"


@dataclass(frozen=True, slots=True)
class RecoverySheet:
    """`jobs` are computer and job, each of which the code opens; `date` is YYYY-MM-DD."""

    vault: str
    account: str
    jobs: Sequence[tuple[str, str]]
    code: str = field(repr=False)
    date: str = field(default_factory=lambda: time.strftime("%Y-%m-%d"))


@dataclass(frozen=True, slots=True)
class _Words:
    """One language; `{restore}` and `{change}` stand in paragraphs of their own, as commands."""

    language: str
    title: str
    names: tuple[str, str, str, str]
    what: str
    use: str
    restoring: str
    changing: str


_GERMAN = _Words(
    "de",
    "Wiederherstellungscode",
    ("Vault", "Konto", "Computer / Job", "Datum"),
    "Dieser Code öffnet die Sicherungen der genannten Jobs, wenn das Passwort verloren ist. Wer ihn hat, kann sie"
    " lesen: bewahren Sie dieses Blatt sicher und getrennt vom Computer auf. Niemand sonst hat den Code gespeichert."
    " Sind Passwort und Code verloren, kann niemand die Sicherungen öffnen. Nach einem Wechsel der Schlüssel (--rotate)"
    " mit einem neuen Code gilt dieser hier nicht mehr.",
    "Schreiben Sie den Code in eine Datei, die nur Sie lesen dürfen (chmod 600). Groß- und Kleinschreibung,"
    " Leerzeichen und Bindestriche sind gleichgültig; O gilt als 0, I und L gelten als 1. Das letzte Zeichen jeder"
    " Gruppe ist ein Prüfzeichen: ein Fehler wird mit der Nummer der Gruppe gemeldet.",
    "Dateien zurückholen, auf einem registrierten Computer des Kontos; auf einem anderen als dem genannten gibt der"
    " Administrator vorher die Erlaubnis (vaultctl safeset grant), oder er tritt an dessen Stelle (vaultctl computer"
    " invite --replace):",
    "Ein neues Passwort setzen, mit dem Kontext des Administrators:",
)
_ENGLISH = _Words(
    "en",
    "Recovery code",
    ("Vault", "Account", "Computer / job", "Date"),
    "This code opens the safesets of the jobs named here where the password is lost. Whoever has it can read them: keep"
    " this page safe and away from the computer. Nobody else has stored the code. Where password and code are lost,"
    " nobody can open the safesets. After new keys (--rotate) with a new code this one is not good any more.",
    "Write the code into a file that only you may read (chmod 600). Case, spaces and hyphens do not matter; O is taken"
    " as 0, I and L as 1. The last character of each group is a check: a mistake is told with the number of its group.",
    "To bring files back, on a registered computer of the account; one other than that named here needs a grant first"
    " (vaultctl safeset grant), or takes its place (vaultctl computer invite --replace):",
    "To set a new password, with the administrator's context:",
)


def check_sheet(path: Path) -> None:
    """Says no before there is a code that would then have no page."""
    if os.path.lexists(path):
        raise Failure("conflict", f"there is already a file {path}", "name another file, or move that one away")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise Failure("usage", f"no file can be made in {path.parent}", "name a file in a directory that you may write")


def write_sheet(path: Path, sheet: RecoverySheet) -> None:
    page = html_page(sheet) if path.suffix.lower() in (".html", ".htm") else text_page(sheet)
    try:
        create_private(path, page.encode())
    except FileExistsError:
        raise Failure("conflict", f"there is already a file {path}", "name another file") from None


def written_note(path: Path) -> str:
    return f"the recovery code is also in {path}: {_MEDIUM}"


def text_page(sheet: RecoverySheet) -> str:
    lines = ["=" * _WIDTH]
    for words in (_GERMAN, _ENGLISH):
        lines += [f"safeset - {words.title}", "=" * _WIDTH, ""]
        lines += [f"{name and name + ':':<18}{value}" for name, value in _facts(sheet, words)]
        for numbers, groups in _code_rows(sheet.code):
            lines += ["", f"        {numbers}", f"        {groups}"]
        lines.append("")
        lines += [*textwrap.wrap(words.what, _WIDTH), "", *textwrap.wrap(words.use, _WIDTH), ""]
        for title, command in zip((words.restoring, words.changing), _commands(sheet), strict=True):
            lines += [*textwrap.wrap(title, _WIDTH), *(f"    {part}" for part in command), ""]
        lines.append("=" * _WIDTH)
    return "\n".join(lines) + "\n"


def html_page(sheet: RecoverySheet) -> str:
    parts = "\n".join(_html_part(sheet, words) for words in (_GERMAN, _ENGLISH))
    title = html.escape(f"{_GERMAN.title} / {_ENGLISH.title}")
    head = f'<head>\n<meta charset="utf-8">\n<title>{title}</title>\n{_STYLE}</head>'
    return f'<!DOCTYPE html>\n<html lang="de">\n{head}\n<body>\n{parts}\n</body>\n</html>\n'


_STYLE = """<style>
@page { size: A4; margin: 18mm }
body { font: 10.5pt/1.4 sans-serif; max-width: 174mm; margin: 0 auto; color: #000; background: #fff }
section { border-top: 2pt solid #000; padding: 2mm 0; page-break-inside: avoid }
h1 { font-size: 15pt; margin: 2mm 0 }
table { border-collapse: collapse }
th { text-align: left; font-weight: normal; padding-right: 8mm; vertical-align: top }
pre { font: 9pt/1.4 monospace; background: #eee; padding: 2mm; white-space: pre-wrap }
pre.code { font: bold 16pt/1.4 monospace; background: #fff; border: 1pt solid #000; padding: 3mm 6mm; width: 26ch }
pre.code i { font-style: normal; font-weight: normal; color: #777 }
</style>
"""


def _html_part(sheet: RecoverySheet, words: _Words) -> str:
    e = html.escape
    facts = "".join(f"<tr><th>{e(name)}</th><td>{e(value)}</td></tr>" for name, value in _facts(sheet, words))
    code = "\n".join(f"<i>{numbers}</i>\n{e(groups)}" for numbers, groups in _code_rows(sheet.code))
    uses = "".join(
        f"<p>{e(title)}</p><pre>{e(' '.join(part.strip(chr(92)).strip() for part in command))}</pre>"
        for title, command in zip((words.restoring, words.changing), _commands(sheet), strict=True)
    )
    return (
        f'<section lang="{words.language}"><h1>safeset – {e(words.title)}</h1><table>{facts}</table>'
        f'<pre class="code">{code}</pre><p>{e(words.what)}</p><p>{e(words.use)}</p>{uses}</section>'
    )


def _facts(sheet: RecoverySheet, words: _Words) -> list[tuple[str, str]]:
    vault, account, job, date = words.names
    rows = [(vault, sheet.vault), (account, sheet.account)]
    rows += [(job if number == 0 else "", f"{one[0]} / {one[1]}") for number, one in enumerate(sheet.jobs)]
    return [(name, escape_text(value)) for name, value in [*rows, (date, sheet.date)]]


def _code_rows(code: str) -> list[tuple[str, str]]:
    """The numbers of the groups, as mistakes are told, above the groups: who copies them copies nothing else."""
    groups = code.split("-")
    rows = []
    for at in range(0, len(groups), _GROUPS_A_LINE):
        row = groups[at : at + _GROUPS_A_LINE]
        numbers = "".join(f"{number:<6}" for number in range(at + 1, at + 1 + len(row))).rstrip()
        rows.append((numbers, "-".join(row) + ("-" if at + _GROUPS_A_LINE < len(groups) else "")))
    return rows


def _commands(sheet: RecoverySheet) -> list[list[str]]:
    computer, job = (escape_text(shlex.quote(name)) for name in sheet.jobs[0])
    return [
        [
            f"vault-agent --state /var/lib/vault-agent restore {job} \\",
            f"  --computer {computer} --target DIR --recovery-code-file FILE",
        ],
        [f"vaultctl --context CONTEXT keyring password {computer} {job} \\", "  --recovery-code-file FILE"],
    ]
