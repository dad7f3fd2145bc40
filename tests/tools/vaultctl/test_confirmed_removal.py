"""Who is asked before a removal."""

import click
import pytest

from tools.client.failure import Failure
from tools.vaultctl.confirmed_removal import confirm_removal


@pytest.mark.parametrize(
    ("is_terminal", "yes", "answer", "asked"),
    [(True, False, True, 1), (True, False, False, 1), (True, True, False, 0), (False, False, False, 0)],
)
def test_only_people_are_asked(
    monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool, yes: bool, answer: bool, asked: int
) -> None:
    questions = []

    def ask(question: str, **_: object) -> bool:
        questions.append(question)
        return answer

    monkeypatch.setattr("sys.stdin.isatty", lambda: is_terminal)
    monkeypatch.setattr(click, "confirm", ask)
    if asked and not answer:
        with pytest.raises(Failure, match="^nothing was removed$") as refused:
            confirm_removal("Remove?", yes=yes)
        assert refused.value.exit_code == 1
    else:
        confirm_removal("Remove?", yes=yes)
    assert questions == ["Remove?"] * asked
