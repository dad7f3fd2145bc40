"""A second reader of the formats, written from docs/format.md alone, and what it says about real stores."""
