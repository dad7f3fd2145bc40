"""JSON for scripts that a terminal can bear too."""

import json

import pytest

from tools.client.output import Output


def test_readable_names_stay_readable(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).line({"path": "Übung"})
    assert capsys.readouterr().out == '{"path": "Übung"}\n'


def test_control_characters_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"path": "Übung \x1b[2J \x7f \x9b31m \u202e"}
    for say in (Output(json=True).line, lambda it: Output(json=True).show(it, str)):
        say(document)
        out = capsys.readouterr().out
        assert out.rstrip("\n").isprintable()
        assert json.loads(out) == document
