"""Container files: their bytes, reading, writing, and the ones that are being filled."""
