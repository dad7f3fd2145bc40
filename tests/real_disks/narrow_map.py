"""An index whose map cannot grow: the process has no address space left. Prints how many batches were applied."""

import os
import resource
import sys
from pathlib import Path

from tests.vaultd.store.fakes import KEY, KEYRING
from vaultd.store.errors import StoreBroken
from vaultd.store.index.index import Index
from vaultd.store.index_rows import IndexBatch, IndexRecord

ROWS, BATCHES_MAX = 100, 1_000
LEFT_BYTES = 512 * 1024


def main(path: Path) -> None:
    index = Index.open(path, bytes(16), map_bytes=256 * 1024)
    used_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used_bytes + LEFT_BYTES, resource.RLIM_INFINITY))
    applied = 0
    try:
        for _ in range(BATCHES_MAX):
            rows = [IndexRecord(KEYRING, os.urandom(32), KEY, 1, 0, 100, 1, os.urandom(32)) for _ in range(ROWS)]
            index.apply(IndexBatch(records=rows))
            applied += 1
    except StoreBroken as error:
        print(applied, error)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
