"""The settings of one vault: `DIR/vault.toml`, checked against one table, into a frozen Config.

Invariants: a key that is not in SETTINGS, or a value of another type, is refused with one sentence; nothing has two
defaults. An environment variable VAULTD_<SETTING> goes before the file.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaultd.errors import BadRequest, NotFound

CONFIG_FILE = "vault.toml"
ENVIRONMENT_PREFIX = "VAULTD_"
TLS_MINIMA = ("1.3", "1.2")
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the settings table; `smallest` and `largest` hold for numbers."""

    name: str
    type: type
    default: Any
    unit: str
    meaning: str
    smallest: float = 0
    largest: float = float("inf")

    @property
    def type_name(self) -> str:
        return {str: "text", int: "whole number", float: "number", list: "list of texts"}[self.type]

    @property
    def default_text(self) -> str:
        return _toml(self.default)

    @property
    def range_text(self) -> str:
        return f"{self.smallest} to {self.largest}" if self.type in {int, float} else ""


SETTINGS: tuple[Setting, ...] = (
    Setting("name", str, "vault", "", "what people call this vault; part of its certificate authority's name"),
    Setting("place", str, "", "", "where it stands, as shown to people"),
    Setting("listen", str, "127.0.0.1:8443", "host:port", "address that agents and people connect to"),
    Setting(
        "disks", list, ["disk-1"], "paths", "the disks' directories, in order; relative to the vault's directory"
    ),
    Setting(
        "container_bytes", int, 128 * MIB, "bytes", "a container is sealed when it has this size", 16 * MIB, 1 * GIB
    ),
    Setting("journal_segment_bytes", int, 64 * MIB, "bytes", "a journal segment ends at this size", MIB, GIB),
    Setting(
        "group_commit_bytes", int, 32 * MIB, "bytes", "uploads are made durable when so much is waiting", MIB, 256 * MIB
    ),
    Setting(
        "group_commit_seconds", float, 0.05, "seconds", "and at the latest when an upload paused so long", 0.001, 5.0
    ),
    Setting(
        "receive_budget_bytes", int, 96 * MIB, "bytes", "memory for data that is arriving, all connections together",
        32 * MIB, 16 * GIB,  # half of it holds one frame, however large
    ),
    Setting(
        "connections_max", int, 1000, "connections",
        "signed in, one account a quarter; further ones are told so at hello", 1, 100_000,
    ),
    Setting(
        "connections_not_signed_in_max", int, 128, "connections",
        "further ones are closed at once; one client network has a quarter of it", 4, 100_000,
    ),
    Setting(
        "connections_per_address_max", int, 128, "connections", "of one client network, signed in or not", 1, 100_000
    ),
    Setting(
        "tls_minimum", str, "1.3", "",
        "\"1.3\", or \"1.2\" for clients that have no newer TLS: then with ECDHE and AES-128-GCM only",
    ),
    Setting(
        "checkpoint_every_seconds", int, 3600, "seconds", "time between checkpoints of the catalog", 60, 604_800
    ),
    Setting(
        "undelete_seconds", int, 7 * 24 * 3600, "seconds", "what expired or was deleted can be brought back so long",
        0, 365 * 24 * 3600,
    ),
    Setting(
        "collect_every_seconds", int, 6 * 3600, "seconds",
        "time between collections of what no safeset uses any more; 0: only when `vaultctl collect` asks",
        0, 30 * 24 * 3600,
    ),
    Setting(
        "collect_percent", int, 25, "percent", "of one processor's time is what a collection may take", 1, 100
    ),
    Setting(
        "compact_dead_percent", int, 10, "percent",
        "a container of which so much is not needed any more is moved, and its space given back", 1, 100,
    ),
    Setting(
        "scrub_days", int, 30, "days", "all that is stored is read and checked once in so long; 0: when asked for",
        0, 3650,
    ),
    Setting("stop_seconds", float, 20.0, "seconds", "running requests may go on so long after a stop", 0, 600),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """The checked settings of the vault in `directory`; fields are the rows of SETTINGS."""

    directory: Path
    name: str
    place: str
    listen: str
    disks: tuple[Path, ...]
    container_bytes: int
    journal_segment_bytes: int
    group_commit_bytes: int
    group_commit_seconds: float
    receive_budget_bytes: int
    connections_max: int
    connections_not_signed_in_max: int
    connections_per_address_max: int
    tls_minimum: str
    checkpoint_every_seconds: int
    undelete_seconds: int
    collect_every_seconds: int
    collect_percent: int
    compact_dead_percent: int
    scrub_days: int
    stop_seconds: float

    @property
    def host(self) -> str:
        return split_address(self.listen)[0]

    @property
    def port(self) -> int:
        return split_address(self.listen)[1]


def load_config(directory: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Reads DIR/vault.toml; raises NotFound or BadRequest with one sentence."""
    path = directory / CONFIG_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"{path} does not exist", _hint_without(directory)) from None
    except OSError as problem:
        raise BadRequest(f"{path} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise BadRequest(f"{path} is not UTF-8 text") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise BadRequest(f"{path} is not valid TOML: {problem}") from None
    checked = {name: _check(_setting(name, str(path)), value, str(path)) for name, value in values.items()}
    checked |= _from_environment(os.environ if environment is None else environment)
    return make_config(directory, checked)


def _hint_without(directory: Path) -> str:
    if directory.is_dir() and any(directory.iterdir()):
        return "name the directory that `vaultd init` made: this one holds something else"
    return f"check the name, or make a vault there with: vaultd init {directory}"


def make_config(directory: Path, values: Mapping[str, Any] | None = None) -> Config:
    """A Config from checked values; what is not given has its default."""
    merged = {setting.name: setting.default for setting in SETTINGS} | dict(values or {})
    merged["disks"] = tuple(directory / disk for disk in merged["disks"])
    return Config(directory=directory, **merged)


def check_setting(name: str, value: object, source: str) -> Any:
    """The value as the Config holds it; BadRequest names the source, the setting and what is expected."""
    return _check(_setting(name, source), value, source)


def config_text(values: Mapping[str, Any]) -> str:
    """The text of a new vault.toml: given values as keys, every other setting as a comment with its default."""
    lines = ["# Settings of this vault. A commented line shows the default.", ""]
    for setting in SETTINGS:
        unit = f" [{setting.unit}]" if setting.unit else ""
        lines.append(f"# {setting.meaning}{unit}")
        given = setting.name in values
        value = values[setting.name] if given else setting.default
        lines += [f"{'' if given else '# '}{setting.name} = {_toml(value)}", ""]
    return "\n".join(lines)


def split_address(text: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as its two parts."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(text)
    return host, int(port)


def join_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _setting(name: str, source: str) -> Setting:
    for setting in SETTINGS:
        if setting.name == name:
            return setting
    known = ", ".join(setting.name for setting in SETTINGS)
    raise BadRequest(f"{source}: {name} is not a setting", f"known settings: {known}")


def _check(setting: Setting, value: object, source: str) -> Any:
    if setting.type is float and type(value) is int:
        value = float(value)
    # type() and not isinstance: TOML's true is a bool, which Python counts among the whole numbers.
    if type(value) is not setting.type:
        raise BadRequest(f"{source}: {setting.name} must be a {setting.type_name}, not {value!r}")
    if isinstance(value, int | float) and not setting.smallest <= value <= setting.largest:
        bounds = f"from {setting.smallest:.15g} to {setting.largest:.15g}"
        raise BadRequest(f"{source}: {setting.name} must be {bounds}, not {value}")
    if isinstance(value, str):
        _check_text(setting.name, value, source)
    if isinstance(value, list) and not (value and all(isinstance(part, str) and part for part in value)):
        raise BadRequest(f"{source}: {setting.name} must be a list of at least one path")
    return value


def _check_text(name: str, value: str, source: str) -> None:
    if name == "listen":
        try:
            split_address(value)
        except ValueError:
            raise BadRequest(f"{source}: listen must be HOST:PORT, not {value!r}", "for example 0.0.0.0:8443") from None
    elif name == "tls_minimum":
        if value not in TLS_MINIMA:
            raise BadRequest(f"{source}: tls_minimum must be {' or '.join(map(repr, TLS_MINIMA))}, not {value!r}")
    elif len(value) > 64 or not value.isprintable() or (name == "name" and not value.strip()):
        raise BadRequest(f"{source}: {name} must be up to 64 printable characters, not {value!r}")


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        source = f"environment variable {variable}"
        setting = _setting(variable.removeprefix(ENVIRONMENT_PREFIX).lower(), source)
        values[setting.name] = _check(setting, _parse(setting, text, source), source)
    return values


def _parse(setting: Setting, text: str, source: str) -> object:
    if setting.type is list:
        return text.split(os.pathsep)
    try:
        return setting.type(text)
    except ValueError:
        raise BadRequest(f"{source}: {setting.name} must be a {setting.type_name}, not {text!r}") from None


def _toml(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(str(part)) for part in value) + "]"
    # JSON's text and number syntax is valid TOML for printable text.
    return json.dumps(value, ensure_ascii=False)
