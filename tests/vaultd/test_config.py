"""Settings: defaults, the file, the environment, and one sentence for everything that is wrong."""

from pathlib import Path

import pytest

from vaultd.config import SETTINGS, Config, config_text, load_config, make_config, split_address
from vaultd.errors import BadRequest, NotFound


def written(directory: Path, text: str) -> Path:
    (directory / "vault.toml").write_text(text, encoding="utf-8")
    return directory


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, ""), {})
    assert (config.name, config.listen) == ("vault", "127.0.0.1:8443")
    assert config.disks == (tmp_path / "disk-1",)
    assert config.group_commit_bytes == 33_554_432
    assert config.group_commit_seconds == 0.05


def test_every_setting_is_a_field_and_every_field_a_setting() -> None:
    assert [setting.name for setting in SETTINGS] == list(Config.__dataclass_fields__)[1:]


def test_values_come_from_the_file(tmp_path: Path) -> None:
    text = 'name = "Nord"\nplace = "Hüllhorst, DE"\nlisten = "[::1]:9"\ndisks = ["/a", "b"]\ngroup_commit_seconds = 1\n'
    config = load_config(written(tmp_path, text), {})
    assert (config.name, config.place, config.host, config.port) == ("Nord", "Hüllhorst, DE", "::1", 9)
    assert config.disks == (Path("/a"), tmp_path / "b")
    assert config.group_commit_seconds == 1.0


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    environment = {"VAULTD_NAME": "Süd", "VAULTD_DISKS": "/x:/y", "VAULTD_CONNECTIONS_MAX": "7", "HOME": "/root"}
    config = load_config(written(tmp_path, 'name = "Nord"\n'), environment)
    assert (config.name, config.disks, config.connections_max) == ("Süd", (Path("/x"), Path("/y")), 7)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nmae = 'x'", "nmae is not a setting"),
        ("name = 3", "name must be a text, not 3"),
        ("connections_max = true", "connections_max must be a whole number, not True"),
        ("connections_max = '7'", "connections_max must be a whole number, not '7'"),
        ("tls_minimum = '1.1'", "tls_minimum must be '1.3' or '1.2', not '1.1'"),
        ("connections_max = 0", "connections_max must be from 1 to 100000, not 0"),
        ("receive_budget_bytes = 16777216", "must be from 33554432 to 17179869184, not 16777216"),
        ("container_bytes = 1.5", "container_bytes must be a whole number, not 1.5"),
        ("group_commit_seconds = nan", "group_commit_seconds must be from 0.001 to 5, not nan"),
        ("disks = []", "disks must be a list of at least one path"),
        ("disks = [1]", "disks must be a list of at least one path"),
        ("listen = '8443'", "listen must be HOST:PORT, not '8443'"),
        ("listen = 'h:70000'", "listen must be HOST:PORT, not 'h:70000'"),
        ("name = '   '", "name must be up to 64 printable characters"),
        ('place = "a\\u0007"', "place must be up to 64 printable characters"),
        ("name = ", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadRequest) as caught:
        load_config(written(tmp_path, text), {})
    assert sentence in caught.value.message
    assert caught.value.message.startswith(str(tmp_path / "vault.toml"))


def test_what_is_wrong_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    written(tmp_path, "")
    with pytest.raises(BadRequest, match="VAULTD_CONNECTIONS_MAX: connections_max must be a whole number, not 'many'"):
        load_config(tmp_path, {"VAULTD_CONNECTIONS_MAX": "many"})
    with pytest.raises(BadRequest, match="VAULTD_COLOUR: colour is not a setting"):
        load_config(tmp_path, {"VAULTD_COLOUR": "red"})


def test_a_directory_without_a_vault_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        load_config(tmp_path, {})
    assert caught.value.hint.endswith(f"make a vault there with: vaultd init {tmp_path}")


def test_a_directory_of_something_else_is_no_place_for_a_vault(tmp_path: Path) -> None:
    (tmp_path / "letter").touch()
    with pytest.raises(NotFound) as caught:
        load_config(tmp_path, {})
    assert "vaultd init` made" in caught.value.hint


def test_a_written_file_reads_back(tmp_path: Path) -> None:
    values = {"name": 'a "quoted" \\ name', "listen": "127.0.0.1:5", "disks": ["/d one", "two"]}
    assert load_config(written(tmp_path, config_text(values)), {}) == make_config(tmp_path, values)


def test_addresses() -> None:
    assert split_address("[::]:443") == ("::", 443)
    assert split_address("backup.example:8443") == ("backup.example", 8443)
    for text in ("", ":1", "host", "host:", "host:-1", "host:٣"):
        with pytest.raises(ValueError):
            split_address(text)
