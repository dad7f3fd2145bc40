"""`vaultd init`: settings from the command line, a port if one is to be chosen, and the operator's context file."""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from vaultd.clock import SystemClock
from vaultd.config import check_setting, config_text, join_address, make_config, split_address
from vaultd.errors import Conflict
from vaultd.operations.init import InitRequest, init_vault
from vaultd.operations.vault import AUTHORITY_FILE
from vaultd.store.disk_door import SystemDoor

CONTEXT_FILE = "operator.context"
WILDCARDS = ("0.0.0.0", "::")


def create_vault(directory: Path, values: Mapping[str, str], disks: Sequence[Path]) -> dict[str, str]:
    """Makes the vault; returns what scripts need: url, the files of authority and operator's context."""
    directory = directory.absolute()
    if directory.exists() and any(directory.iterdir()):
        raise Conflict(f"{directory} is not empty", "choose a new directory")
    settings = {name: check_setting(name, value, f"--{name}") for name, value in values.items()}
    settings["disks"] = [str(disk.absolute()) for disk in disks] or ["disk-1"]
    host, port = split_address(settings["listen"])
    settings["listen"] = join_address(host, port or _free_port(host))
    hosts = _hosts(host)
    request = InitRequest(make_config(directory, settings), config_text(settings), hosts)
    created = init_vault(request, SystemClock(), SystemDoor())
    url = f"https://{join_address(hosts[0], split_address(settings['listen'])[1])}"
    context = directory / CONTEXT_FILE
    _write_context(context, url, created.authority_pem, created.operator_token)
    return {"url": url, "ca": str(directory / AUTHORITY_FILE), "context": str(context)}


def _hosts(host: str) -> list[str]:
    """Names in the server's certificate, the one for the url first. A wildcard address is no name."""
    if host not in WILDCARDS:
        return [host]
    return list(dict.fromkeys([socket.getfqdn(), socket.gethostname()]))


def _free_port(host: str) -> int:
    """A port that is free now: clients get the url before the daemon runs."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _write_context(path: Path, url: str, authority_pem: str, token: bytes) -> None:
    context = {
        "version": 1,
        "url": url,
        "ca": authority_pem,
        "role": "operator",
        "token": token.hex(),
        "account": None,
        "agent_keys": {},
    }
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(context, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
