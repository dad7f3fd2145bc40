"""A small model of what a vault keeps, driven against the real one: runs, deletions, expiry, purges, collections in
pieces, moves of containers, damage, scrubs, distrust, other passwords, stops and lost indexes, in any order.

What a live safeset uses reads back byte for byte, what a run was told is there stays until it ends, nothing is answered
"present" after its key left, and when nothing goes on any more, what nobody uses is gone.

A long run: `python -m pytest --hypothesis-profile=long --timeout=0` with this file.
"""

from __future__ import annotations

from hypothesis import Phase, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from tests.vaultd.operations.driven_vault import LEASE_HOURS, DrivenVault
from tests.vaultd.operations.job_keys import NO_KEY, key_of, keys_of, keys_that_open, lost_in_restore
from vaultd.operations import retention, safesets


class Vault(DrivenVault):
    def teardown(self) -> None:
        try:
            self.end_of_all()
        finally:
            super().teardown()

    @invariant()
    def what_stands_is_listed(self) -> None:
        page = safesets.list_page(self.site.vault, self.job.owner, "laptop", "home", None, 1000)
        assert {one.number for one in page.safesets} == set(self.model.standing())
        ended = retention.list_ended_newest(self.site.vault, self.job.owner, "laptop", "home")
        states = {one.number: "purged" if one.state == "purged" else "ended" for one in ended}
        assert states == {n: kept.state for n, kept in self.model.kept.items() if kept.state != "standing"}

    @invariant()
    def what_is_used_is_there(self) -> None:
        self.model.meets(self.missing(self.model.hurt))  # a start or a move came by it
        needed = set(self.model.told).union(*(self.job.used[number] for number in self.model.live()))
        whole = needed - self.model.damaged - self.model.hurt
        assert {id_ for id_ in whole if not self.job.is_read(id_)} == set()
        assert self.missing(whole) == {id_ for id_ in whole if self.is_distrusted(id_)}
        assert {id_ for id_ in self.model.damaged if self.job.is_read(id_)} == set()

    @invariant()
    def keys_stay_as_long_as_what_is_under_them(self) -> None:
        """Whatever is present or needed can be opened."""
        present = set(self.job.stored) - self.missing(set(self.job.stored))
        needed = present.union(*(self.job.used[number] for number in self.model.live())) - self.model.damaged
        assert keys_of(self.job, needed) <= keys_that_open(self.job)

    def read(self, id_: bytes) -> bytes:
        """One of the records that were sent of it, which lie there."""
        store = self.site.vault.store
        (location,) = store.locate(self.job.keyring_id, [id_])
        assert location is not None
        record = store.read(location, id_)
        assert record in (self.job.stored[id_], *self.job.earlier.get(id_, []))
        return record

    def end_of_all(self) -> None:
        """Nothing goes on: what nobody uses is dropped, and stays so; everything else restores."""
        if self.model.is_running:
            self.end()
        self.restart()
        self.site.clock.advance(LEASE_HOURS * 3600)
        self.collect()
        kept = set[bytes]().union(*(self.job.used[number] for number in self.model.live()))
        dead = set(self.job.stored) - kept
        unused = keys_that_open(self.job) - keys_of(self.job, kept)
        assert not unused or kept & (self.model.damaged | self.model.hurt)  # else a row may be lacking, and keys stay
        for again in (lambda: None, self.move, self.rebuild):
            again()
            self.what_is_used_is_there()
            self.keys_stay_as_long_as_what_is_under_them()
            if self.missing(dead) != dead:
                # What was moved out of a container that stays, because of damage, is found there with the index lost.
                assert again == self.rebuild
                assert self.model.was_damaged
                back = {key_of(self.read(id_)) for id_ in dead - self.missing(dead)}
                assert back - {NO_KEY} <= keys_that_open(self.job)
                self.collect()
            assert self.missing(dead) == dead
        self.scrub()
        for number in self.model.standing():
            lost = self.job.used[number] & self.model.damaged
            assert lost_in_restore(self.job, number) == lost


IS_LONG = settings.get_current_profile_name() == "long"
# A short run is the same one each time; what a long one finds is made small.
SETTINGS = settings(
    max_examples=1_000 if IS_LONG else 80,
    stateful_step_count=40 if IS_LONG else 30,
    deadline=None,
    derandomize=not IS_LONG,
    phases=tuple(Phase) if IS_LONG else (Phase.generate,),
)


def test_the_vault_keeps_what_its_model_says() -> None:
    run_state_machine_as_test(Vault, settings=SETTINGS)
