"""The agent, but it makes a provisional safeset whenever something is new: a run that is killed early leaves one."""

from __future__ import annotations

from tools.agent.__main__ import main
from tools.agent.run import pace
from tools.agent.scan import batch

if __name__ == "__main__":
    pace.Pace.__init__.__defaults__ = (pace.MEMORY_BUDGET_BYTES, 0.0)
    batch.BATCH_BYTES = 1 << 20
    main()
