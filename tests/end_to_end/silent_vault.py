"""A daemon that never says that it listens."""

import signal
import sys

if __name__ == "__main__":
    print("still looking for the disk", file=sys.stderr, flush=True)
    signal.pause()
