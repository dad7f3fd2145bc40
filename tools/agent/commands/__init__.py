"""The commands of vault-agent, one module each."""
