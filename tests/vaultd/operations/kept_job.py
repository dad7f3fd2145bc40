"""A job with a history of complete safesets, and what the vault does with them as time passes."""

from dataclasses import dataclass

from tests.vaultd.operations.small_site import BackedUp, Site
from tests.vaultd.operations.test_provisional import Long
from vaultd.operations import expiry, safesets
from vaultd.operations.expiry import Due, Kept
from vaultd.operations.held_safesets import Named
from vaultd.records import Identity

DAY_SECONDS = 24 * 3600


def keep_house(site: Site, backed_up: BackedUp) -> Kept:
    """Once; the clock is right."""
    now_ns = site.clock.now_ns()
    due = expiry.find_due(site.vault, backed_up.job.account_id + backed_up.job.job_id, now_ns)
    kept = expiry.keep_house(site.vault, due, now_ns) if isinstance(due, Due) else Kept()
    assert kept is not None
    return kept


@dataclass
class History:
    site: Site
    administrator: Identity
    job: BackedUp
    long: Long

    def run(self) -> int:
        """The number of the safeset that one more run makes."""
        self.long.begin()
        return self.long.add(complete=True, keep=False)

    def run_daily(self, days: int) -> list[int]:
        """The last one now, the others a day before each other."""
        made = []
        for _ in range(days):
            self.site.clock.advance(DAY_SECONDS)
            made.append(self.run())
        return made

    def keep_house(self) -> Kept:
        """Once; the clock is right."""
        return keep_house(self.site, self.job)

    def listed(self) -> list[int]:
        return self.long.listed()

    def types(self) -> list[str]:
        page = safesets.list_page(self.site.vault, self.job.agent.identity, "laptop", "home", None, 1000)
        return [one.retention for one in page.safesets]

    def named(self, number: int) -> Named:
        return Named("laptop", "home", number)


def make_history(site: Site) -> History:
    administrator = site.administrator()
    job = site.ready(administrator)
    return History(site, administrator, job, Long(site, job))
