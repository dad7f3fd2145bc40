"""The index and what it is made anew from: what the journal acknowledges of a container, and checkpoints."""
