"""The unit file with which systemd runs the service, made for this program, this state directory and its limit.

Why so little is locked: a backup reads everything and a restore to / writes everywhere. What makes a mount namespace
(ProtectSystem, PrivateTmp and their like) would show the backup another tree than people see, and forbid a restore.
"""

from pathlib import Path

from tools.agent.local_settings import MIB
from tools.agent.system.priority import NICE

# The service itself, beside a backup and a restore that each keep to the limit.
OWN_BYTES = 64 * MIB
PIECES_AT_ONCE = 2

_UNIT = """\
[Unit]
Description=safeset agent
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStart={program} --state {state} serve
Restart=on-failure
RestartSec=30
# Not registered, removed at the vault, or a fault in the settings: another start changes nothing.
RestartPreventExitStatus=2 4 5
# The service ends its own children in order; only what is left then is killed.
KillMode=mixed
TimeoutStopSec=90
OOMPolicy=continue
Nice={nice}
IOSchedulingClass=best-effort
IOSchedulingPriority=7
{memory}UMask=0077
LimitCORE=0
# Everything is read, and a restore to / writes everywhere: no private or read-only places. What remains:
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID
CapabilityBoundingSet=CAP_MKNOD CAP_SETFCAP CAP_SYS_ADMIN
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""


def unit_text(program: Path, state: Path, memory_limit_bytes: int | None) -> str:
    memory = ""
    if memory_limit_bytes is not None:
        all_bytes = PIECES_AT_ONCE * memory_limit_bytes + OWN_BYTES
        memory = f"MemoryMax={all_bytes // MIB}M\nMemorySwapMax=0\n"
    return _UNIT.format(program=_quoted(program), state=_quoted(state), nice=NICE, memory=memory)


def _quoted(path: Path) -> str:
    """As one word of ExecStart: specifiers and variables are switched off."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"'
