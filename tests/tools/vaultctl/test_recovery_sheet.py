"""The page with the recovery code: what stands on it, for whom the file is, and that it replaces none."""

import stat
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.tools.vaultctl.conftest import Run
from tests.tools.vaultctl.fake_vault import FakeVault
from tests.tools.vaultctl.test_job_create import agent_key, computer, opened, password_file, words
from tests.tools.vaultctl.test_keyring import keeper, keyring, made, rotating, slots_opened
from tools.client.agent_key import AgentKey
from tools.client.failure import Failure
from tools.client.recovery_code import format_recovery_code, parse_recovery_code
from tools.vaultctl.recovery_sheet import RecoverySheet, check_sheet, html_page, text_page, write_sheet

__all__ = ["agent_key", "computer", "keeper", "keyring", "made", "password_file", "rotating", "words"]

CODE = bytes(range(20))
SHEET = RecoverySheet(
    "https://vault.example:8443", "Müller & Söhne <GmbH>", [("office-1", "it's mine"), ("office-2", "photos")],
    format_recovery_code(CODE), "2026-11-27",
)  # fmt: skip


class Text(HTMLParser):
    """What a reader of the page sees; every tag is closed in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def shown(page: str) -> str:
    parser = Text()
    parser.feed(page)
    assert parser.open == []
    return parser.text


@pytest.mark.parametrize("page", [text_page(SHEET), shown(html_page(SHEET))], ids=["text", "html"])
def test_what_stands_on_it_in_both_languages(page: str) -> None:
    for word in ("Wiederherstellungscode", "Recovery code", SHEET.vault, SHEET.account, "office-2 / photos"):
        assert word in page
    for word in ("2026-11-27", "--recovery-code-file FILE", "'it'\"'\"'s mine'"):
        assert page.count(word) >= 2
    lines = page.splitlines()
    for row in [number for number, line in enumerate(lines) if line.split() == ["1", "2", "3", "4"]]:
        assert lines[row + 1].lstrip().index(lines[row + 1].split("-")[3]) == 18
        found = [line for line in lines[row + 1 : row + 6] if "-" in line]
        assert parse_recovery_code("".join(found)) == CODE


def test_the_lines_of_the_text_fit_a_page() -> None:
    assert max(map(len, text_page(SHEET).splitlines())) <= 80


def test_the_html_needs_nothing_else() -> None:
    page = html_page(SHEET)
    assert "<script" not in page
    assert page.count("://") == page.count(SHEET.vault)


def test_a_name_cannot_write_lines_of_its_own() -> None:
    sheet = RecoverySheet("u", "a", [("pc", "x\nvault-agent restore evil\x1b[31m")], SHEET.code)
    assert "\nvault-agent restore evil" not in text_page(sheet)
    assert "\x1b" not in text_page(sheet) + html_page(sheet)


@pytest.mark.parametrize("name", ["sheet.txt", "sheet.html"])
def test_the_file_is_for_its_owner_and_replaces_none(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    check_sheet(path)
    write_sheet(path, SHEET)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("<!DOCTYPE html>") is (name == "sheet.html")
    before = path.read_bytes()
    for again in (lambda: check_sheet(path), lambda: write_sheet(path, SHEET)):
        with pytest.raises(Failure, match="there is already a file"):
            again()
    assert path.read_bytes() == before


def code_in(path: Path) -> bytes:
    lines = path.read_text().splitlines()
    row = next(number for number, line in enumerate(lines) if line.split() == ["1", "2", "3", "4"])
    return parse_recovery_code(lines[row + 1] + lines[row + 4])


def test_a_new_jobs_code_is_on_it(
    vault: FakeVault, administrator: Path, run: Run, words: list[str], agent_key: AgentKey, tmp_path: Path
) -> None:
    path = tmp_path / "sheet.txt"
    ended = run(administrator, *words, "--trust-agent-key", "--recovery-sheet", str(path))
    assert ended.exit_code == 0
    assert f"the recovery code is also in {path}" in ended.err
    assert code_in(path) == opened(vault.requests("job.create")[0], agent_key).recovery_code
    for word in ("https://vault.example:8443", "Example GmbH", "office-1 / documents"):
        assert word in path.read_text()


def test_the_code_of_a_rotation_is_on_it(
    vault: FakeVault, keeper: object, administrator: Path, run: Run, rotating: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "sheet.txt"
    assert run(administrator, *rotating, "--trust-agent-key", "--recovery-sheet", str(path)).exit_code == 0
    slots_opened(vault.requests("keyring.slots")[0], "correct horse battery", code_in(path))


@pytest.mark.parametrize("what", ["there already", "no code", "no directory"])
def test_what_cannot_be_written_asks_nothing(
    vault: FakeVault, keeper: object, administrator: Path, run: Run, words: list[str], rotating: list[str],
    tmp_path: Path, what: str,
) -> None:  # fmt: skip
    path = tmp_path / "sheet.txt"
    if what == "there already":
        path.write_text("another code")
    more = ["--no-recovery-code"] if what == "no code" else []
    file = tmp_path / "nowhere" / "sheet" if what == "no directory" else path
    for command in (words, rotating):
        ended = run(administrator, *command, "--trust-agent-key", "--recovery-sheet", str(file), *more)
        assert ended.exit_code == (6 if what == "there already" else 2)
    assert vault.asked == []
    assert not path.exists() or path.read_text() == "another code"
