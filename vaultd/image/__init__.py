"""What index and catalog have in common as LMDB files: they are images of containers and journal, and can be lost.

LMDB has neither checksums of pages nor a repair, and a page that is not what it was ends the process that follows it:
so another process looks through the whole file before anybody opens it.
"""
