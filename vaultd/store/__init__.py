"""Chunks on disk: containers and journal are the truth, the index is their image. Synchronous; knows no network and
no account.

Threads: one writer thread calls everything that writes; look-ups and reads come from any thread. What makes each pair
safe:

| at the same time | why it is safe |
|---|---|
| write and look-up | LMDB: a reader sees the index as of one commit; the map grows only while no reader is inside |
| write and read of a record | the index names committed bytes only, and committed blocks are never written again |
| look-up and look-up, read and read | nothing is shared but immutable facts |
| write and write | never: there is one writer thread |

Order of writing: container data synced, then journal synced on each of its disks, then the index transaction, then
the answer.
"""
