"""A registration that the vault has taken and the agent has not: the same command goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Site


def test_a_registration_whose_answer_was_lost_is_taken_up_again(site: Site) -> None:
    """The vault knows the computer; the agent was killed before it had written down who it is."""
    site.create_account("acme")
    code = site.run_administrator("acme", "computer", "invite", "--json").last["code"]
    words = ("register", site.url, "--code", code, "--name", "pc", "--json")
    first = site.run_agent("pc", *words)
    identity = site.state("pc") / "identity.json"
    before = json.loads(identity.read_text())
    identity.unlink()
    (site.state("pc") / "agent.crt").unlink()
    again = site.run_agent("pc", *words)
    assert (again.exit_code, again.last) == (0, first.last)
    assert json.loads(identity.read_text()) == before
    assert site.run_agent("pc", "status", "--json").exit_code == 0
    assert len(site.run_administrator("acme", "computer", "list", "--json").last) == 1


def test_the_code_works_once_for_another_agent(site: Site, tmp_path: Path) -> None:
    site.create_account("acme")
    code_file = tmp_path / "code"
    code_file.write_text(site.run_administrator("acme", "computer", "invite", "--json").last["code"] + "\n")
    words = ("register", site.url, "--code-file", code_file, "--name", "pc", "--json")
    assert site.run_agent("pc", *words).exit_code == 0
    other = site.run_agent("other", *words)
    assert (other.exit_code, other.last["code"]) == (5, "not_allowed")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "give the invite code with one of --code-file FILE and --code CODE"),
        (("--code", "A", "--code-file", "-"), "give the invite code with one of --code-file FILE and --code CODE"),
        (("--code-file", "/nonexistent/code"), "/nonexistent/code cannot be read for the invite code: No such file"),
        (("--code-file", "/dev/null"), "there is no invite code in /dev/null"),
    ],
)
def test_a_code_comes_from_one_place(stopped_site: Site, words: tuple[str, ...], sentence: str) -> None:
    done = stopped_site.run_agent("pc", "register", stopped_site.url, *words, "--json")
    assert done.exit_code == 2
    assert sentence in done.last["message"]
    assert not stopped_site.state("pc").exists()
