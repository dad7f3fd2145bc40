"""What `--help` looks like on terminals of different widths."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.end_to_end.conftest import ROOT, environment

LISTS = [
    (("vaultd",), "Make index and catalog of the vault in DIR anew, while no daemon runs on it."),
    (("tools.vaultctl", "safeset"), "Has the service of COMPUTER, or of COMPUTER2, restore JOB, with the rights"),
    (("tools.vaultctl", "job"), "Defines a job; it begins with `job run` or the agent's next `backup`."),
    (("tools.agent",), "The service: runs what is asked for at the vault, and backup and restore."),
]
LONG_LINES = [("vaultd", "init"), ("tools.vaultctl", "safeset", "restore"), ("tools.agent", "restore")]


def help_of(columns: int, *words: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", *words, "--help"],
        cwd=ROOT, env=environment() | {"COLUMNS": str(columns)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def unwrapped(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize(("words", "sentence"), LISTS)
def test_a_list_of_commands_cuts_no_sentence(words: tuple[str, ...], sentence: str, columns: int) -> None:
    lines = help_of(columns, *words)
    assert [line for line in lines if line.endswith("...") and not line.startswith("Usage:")] == []
    assert sentence in unwrapped(lines)
    assert max(map(len, lines)) <= columns


@pytest.mark.parametrize("words", LONG_LINES)
def test_help_is_as_wide_as_the_terminal_up_to_120_columns(words: tuple[str, ...]) -> None:
    narrow, wide = (help_of(columns, *words) for columns in (80, 120))
    assert max(map(len, narrow)) <= 80 < max(map(len, wide)) <= 120
    assert help_of(300, *words) == wide


def test_an_ordered_restore_says_what_it_does_not_bring() -> None:
    said = unwrapped(help_of(80, "tools.vaultctl", "safeset", "restore"))
    assert "It brings no devices, set-user-id and set-group-id bits of files, and file capabilities" in said
    assert "`vault-agent restore --privileged`" in said
