"""From the entries of a safeset to files on the disk."""
