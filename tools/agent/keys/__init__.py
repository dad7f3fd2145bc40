"""The keyring of a job on this computer: made, kept, taken over, replaced by a newer generation."""
