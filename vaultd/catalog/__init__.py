"""Who and what: accounts, computers, jobs, keys, runs and safesets in LMDB, an image of journal and checkpoint.

Each module knows the keys of its tables, reads rows from a View, and returns lists of changes; only `Catalog.apply`
writes, and only with the journal position that the changes stand at. Every key begins with its owner's account id,
except in the tables that find an owner.
"""
