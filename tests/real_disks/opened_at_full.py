"""Opens a store on a file system with nothing free, in a process of its own: a map without room ends it by a signal.

Prints how many of the records with these seeds are as they were, or `full`.
"""

import sys
from pathlib import Path

from tests.vaultd.store.fakes import make_record, make_settings, read, reopen
from vaultd.store.lock_file import write_lock_file


def main(root: Path, seeds: range, record_bytes: int) -> None:
    settings = make_settings(root, disks=2)
    try:
        write_lock_file(settings.index_path)
    except OSError:
        print("full")
        return
    store = reopen(settings)
    print(sum(read(store, seed) == make_record(seed, record_bytes) for seed in seeds))
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), range(int(sys.argv[2])), int(sys.argv[3]))
