"""The programs people run (agent, vaultctl) and the client code that they share."""
