"""The context file: readable by its owner only, replaced as a whole, never overwritten by a new one."""

import json
import stat
from pathlib import Path

import pytest

from tools.client.context import Context, check_new_context, create_context, load_context, pin_agent_key, save_context
from tools.client.failure import Failure

TOKEN = "5e" * 32
DOCUMENT = {"version": 1, "url": "https://h:1", "ca": "PEM", "role": "operator", "account": None, "token": TOKEN}


def written(path: Path, document: object, mode: int = 0o600) -> Path:
    path.write_text(json.dumps(document))
    path.chmod(mode)
    return path


def test_what_the_daemon_writes_is_read(tmp_path: Path) -> None:
    context = load_context(written(tmp_path / "c", {**DOCUMENT, "agent_keys": {}}))
    assert (context.url, context.ca, context.role, context.account) == ("https://h:1", "PEM", "operator", None)
    assert context.token == TOKEN


def test_saved_file_is_the_documented_json_and_private(tmp_path: Path) -> None:
    path = tmp_path / "c"
    save_context(path, Context(url="u", ca="c", role="administrator", account="A", account_id="ab" * 16, token=TOKEN))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {
        "version": 1,
        "url": "u",
        "ca": "c",
        "role": "administrator",
        "account": "A",
        "account_id": "ab" * 16,
        "token": TOKEN,
        "agent_keys": {},
        "replaced_keys": {},
    }
    assert [entry.name for entry in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_open_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path / "c", DOCUMENT, mode)
    with pytest.raises(Failure, match="other users may open it") as caught:
        load_context(path)
    assert caught.value.exit_code == 5
    assert caught.value.hint == f"run: chmod 600 {path}"


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no context file") as caught:
        load_context(tmp_path / "none")
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    "document",
    [[], {**DOCUMENT, "token": "xy"}, {**DOCUMENT, "extra": 1}, {"url": "u"}, {**DOCUMENT, "version": 2}],
)
def test_another_file_is_refused_without_showing_it(tmp_path: Path, document: object) -> None:
    with pytest.raises(Failure) as caught:
        load_context(written(tmp_path / "c", document))
    assert caught.value.exit_code == 2
    assert TOKEN not in caught.value.message


def test_creating_never_replaces(tmp_path: Path) -> None:
    path = written(tmp_path / "c", DOCUMENT)
    before = path.read_bytes()
    context = Context(url="u", ca="c", role="operator", token=TOKEN)
    for attempt in (lambda: create_context(path, context), lambda: check_new_context(path)):
        with pytest.raises(Failure, match="already a file") as caught:
            attempt()
        assert caught.value.exit_code == 6
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["c"]


def test_a_directory_that_is_not_there_is_refused_early(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no file can be made"):
        check_new_context(tmp_path / "none" / "c")


def test_pinning_keeps_everything_else(tmp_path: Path) -> None:
    path = written(tmp_path / "c", {**DOCUMENT, "agent_keys": {"a": "AAAA"}})
    pin_agent_key(path, "b", "BBBB")
    document = json.loads(path.read_text())
    assert document["agent_keys"] == {"a": "AAAA", "b": "BBBB"}
    assert document["token"] == TOKEN
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_token_is_not_shown() -> None:
    assert TOKEN not in repr(Context(url="u", ca="c", role="operator", token=TOKEN))
