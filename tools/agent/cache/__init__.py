"""What the last safeset said of each path, kept in LMDB so that what is unchanged costs no reading."""
