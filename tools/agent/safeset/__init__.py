"""A safeset opened with a password or code: its entries in order, and the fetching of its records."""
