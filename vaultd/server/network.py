"""The network that a client address stands for where connections and guesses are counted."""

import ipaddress

# Whoever has an IPv6 address has all of its network.
V6_PREFIX_BITS = 64


def network_of(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address) or found.ipv4_mapped is not None:
        return str(found)
    return str(ipaddress.ip_network((found, V6_PREFIX_BITS), strict=False))
