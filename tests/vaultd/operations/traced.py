"""What strace watches: a vault that stores a record in a new container and creates a job, with a marker around each."""

import os
import sys
from pathlib import Path

from tests.vaultd.operations.sealing import DATA
from tests.vaultd.operations.small_site import make_site


def mark(directory: Path, name: str) -> None:
    """A call that can be found in the trace."""
    os.close(os.open(directory / f"{name}.marker", os.O_WRONLY | os.O_CREAT))


def main(directory: Path) -> None:
    site = make_site(directory)
    administrator = site.administrator()
    backed_up = site.ready(administrator)
    record = backed_up.sealer.record(DATA, os.urandom(1000))
    mark(directory, "upload")
    site.upload(backed_up, record)
    mark(directory, "uploaded")
    mark(directory, "job")
    site.job(administrator, backed_up.agent, "second")
    mark(directory, "job-made")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
