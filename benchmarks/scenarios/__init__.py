"""One file per scenario: prepare data, run, return raw samples."""
