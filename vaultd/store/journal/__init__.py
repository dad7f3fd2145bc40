"""The journal: entries, segments, their copies on two disks, and what a start makes of them."""
