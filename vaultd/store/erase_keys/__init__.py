"""The erase keys on the disks: what is written over takes the data under it along."""
