"""How many files the daemon may have open: each connection is one, and none of them may stand before a container."""

import resource

from vaultd.config import Config
from vaultd.server.handlers.session import OPERATOR_CONNECTIONS

# LMDB, journal, locks, containers that are written and read, and what the interpreter has.
OWN_FILES = 256


def raise_open_files(config: Config) -> str:
    """Raises the soft limit as far as is needed and the hard one allows; a sentence where that is not enough."""
    needed = OWN_FILES + config.connections_max + OPERATOR_CONNECTIONS + config.connections_not_signed_in_max
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed == needed:
        return ""
    return f"{hard} files may be open and connections need up to {needed}: raise LimitNOFILE, or lower connections_max"
