"""`vaultd init`: settings from the command line, a port if one is to be chosen, and the operator's context file."""

import ipaddress
import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vaultd.clock import SystemClock
from vaultd.config import check_setting, config_text, join_address, make_config, split_address
from vaultd.errors import BadRequest, Conflict
from vaultd.operations.fresh_places import FreshPlaces
from vaultd.operations.init import InitRequest, init_vault
from vaultd.operations.places import AUTHORITY_FILE, CONTEXT_FILE, SUFFIXES, refuse_shared_places
from vaultd.store.disk_door import SystemDoor

DIRECTORY_HINT = "give each disk a directory of its own"
WILDCARDS = ("0.0.0.0", "::")
HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")
# Addresses of documentation, where nobody is: connecting a UDP socket sends nothing, it only chooses an own address.
FAR_AWAY = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


@dataclass(frozen=True, slots=True)
class Created:
    """What was made; `hosts` are the names in the server's certificate beside those of this machine for itself."""

    name: str
    url: str
    ca: str
    context: str
    hosts: tuple[str, ...]


def create_vault(directory: Path, values: Mapping[str, str], disks: Sequence[Path], hosts: Sequence[str]) -> Created:
    """Makes the vault, or leaves nothing; `hosts` are what others call this machine, the first stands in the url."""
    directory = directory.absolute()
    if directory.exists() and any(directory.iterdir()):
        raise Conflict(f"{directory} is not empty", "choose a new directory")
    _check_places(directory, [disk.absolute() for disk in disks])
    settings = {name: check_setting(name, value, f"--{name}") for name, value in values.items()}
    settings["disks"] = [str(disk.absolute()) for disk in disks] or ["disk-1"]
    host, port = split_address(settings["listen"])
    hosts = list(map(_checked_host, hosts)) or _hosts(host)
    settings["listen"] = join_address(host, port or _free_port(host))
    request = InitRequest(make_config(directory, settings), config_text(settings), hosts)
    url = f"https://{join_address(hosts[0], split_address(settings['listen'])[1])}"
    context = directory / CONTEXT_FILE
    places = FreshPlaces(directory, request.config.disks, request.vault_id)
    try:
        made = init_vault(request, SystemClock(), SystemDoor())
        write_context(context, url, made.authority_pem, made.operator_token)
    except FileExistsError:  # somebody else makes a vault there: what is new is theirs
        raise
    except BaseException:
        places.remove_made()
        raise
    return Created(settings["name"], url, str(directory / AUTHORITY_FILE), str(context), tuple(hosts))


def _check_places(directory: Path, disks: Sequence[Path]) -> None:
    """Before anything is written. A disk may lie in DIR, but not be it, nor hold it or another disk."""
    refuse_shared_places(directory, disks)
    places = [disk.resolve() for disk in disks]
    for number, place in enumerate(places):
        others = [directory.resolve(), *places[:number], *places[number + 1 :]]
        if place in others:
            raise BadRequest(f"--disk: {disks[number]} is named twice, or is DIR itself", DIRECTORY_HINT)
        if any(place in other.parents for other in others):
            raise BadRequest(f"--disk: another disk or DIR lies in {disks[number]}", DIRECTORY_HINT)
        if place.name.endswith(SUFFIXES):
            raise BadRequest(f"--disk: {disks[number]} is named like an image that is set aside", DIRECTORY_HINT)


def _checked_host(host: str) -> str:
    if not HOST_NAME.fullmatch(host) and not _is_address(host):
        raise BadRequest(
            f"--host: {host!r} is neither a host name nor an address", "for example vault.example or 192.0.2.10"
        )
    return host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _hosts(host: str) -> list[str]:
    """Names in the server's certificate, the one for the url first. A wildcard address is no name."""
    if host not in WILDCARDS:
        return [host]
    families = [socket.AF_INET] if host == "0.0.0.0" else [socket.AF_INET, socket.AF_INET6]
    own = dict.fromkeys(address for family in families for address in _own_addresses(family))
    names = [name for name in (socket.getfqdn(), socket.gethostname()) if HOST_NAME.fullmatch(name)]
    return list(dict.fromkeys([*own, *(name for name in names if name != "localhost")])) or ["localhost"]


def _own_addresses(family: socket.AddressFamily) -> list[str]:
    """The address by which this machine reaches others, then those of its own name; none of them loopback."""
    found = []
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((FAR_AWAY[family], 9))
        found.append(probe.getsockname()[0])
    with suppress(OSError):
        found += [str(row[4][0]) for row in socket.getaddrinfo(socket.gethostname(), None, family)]
    usable = [address for address in found if "%" not in address]
    return [address for address in usable if not ipaddress.ip_address(address).is_loopback]


def _free_port(host: str) -> int:
    """A port that is free now: clients get the url before the daemon runs."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
            port: int = probe.getsockname()[1]
            return port
    except OSError as problem:
        raise BadRequest(
            f"--listen: {host} cannot be listened on: {problem.strerror}", "name an address of this machine"
        ) from None


def write_context(path: Path, url: str, authority_pem: str, token: bytes) -> None:
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
