"""The signing key beside a context: made once, for its owner only, and never replaced."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.creator import Creator
from tools.client.failure import Failure
from tools.client.signing_file import ensure_creator_key, load_creator_key


def test_it_is_made_once_and_kept(tmp_path: Path) -> None:
    assert load_creator_key(tmp_path / "c") is None
    made = ensure_creator_key(tmp_path / "c")
    assert ensure_creator_key(tmp_path / "c") == made == load_creator_key(tmp_path / "c")
    (path,) = tmp_path.iterdir()
    assert (path.name, path.read_text()) == ("c.signing-key", made.seed.hex() + "\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert made.seed.hex() not in repr(made)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    creator = Creator()
    creator.write(tmp_path / "c")
    key = load_creator_key(tmp_path / "c")
    assert key is not None
    assert (key.public_key, key.fingerprint) == (creator.public_key, creator.fingerprint)


def test_two_that_need_it_at_once_get_the_same(tmp_path: Path) -> None:
    """Else an agent would know a key that nobody has any more."""
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: ensure_creator_key(tmp_path / "c").seed, range(32)))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["c.signing-key"]


def test_one_that_others_may_open_is_refused(tmp_path: Path) -> None:
    Creator().write(tmp_path / "c").chmod(0o640)
    with pytest.raises(Failure, match="other users may open it") as caught:
        ensure_creator_key(tmp_path / "c")
    assert caught.value.exit_code == 5


HEX = "ab" * 32


@pytest.mark.parametrize("text", ["", HEX, HEX[:-1] + "\n", HEX.upper() + "\n", HEX + "\n\n", "xy" * 32 + "\n"])
def test_another_file_is_damage_and_is_not_replaced(tmp_path: Path, text: str) -> None:
    path = Creator().write(tmp_path / "c")
    path.write_text(text)
    with pytest.raises(Failure, match="is not a signing key") as caught:
        ensure_creator_key(tmp_path / "c")
    assert caught.value.exit_code == 9
    assert path.read_text() == text
