"""Use cases: the only place where store, catalog and policy meet. Synchronous; the first argument is the vault.

Authorisation is by ownership: every look-up begins with the caller's account, and what belongs to somebody else is
answered exactly like what does not exist. Functions that write run in the writer thread and change the catalog
through `ledger.record` only.
"""
