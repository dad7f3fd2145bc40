"""The daemon, but it looks every second and not every five minutes for safesets that are to be purged."""

from __future__ import annotations

from vaultd.__main__ import main
from vaultd.maintenance import expiry

if __name__ == "__main__":
    expiry.PASS_SECONDS = 1
    main()
