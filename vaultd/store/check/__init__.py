"""The offline check of the store, one part of it a file; nothing here writes."""
