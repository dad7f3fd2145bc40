"""From batches to acknowledged records: offered, sealed, sent, counted."""
