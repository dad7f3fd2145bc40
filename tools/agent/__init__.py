"""vault-agent: backs up the computer it runs on and restores to it."""
