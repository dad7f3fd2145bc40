"""The service: one program that waits for work of the vault and of people here, and has child processes do it."""
