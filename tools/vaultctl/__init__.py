"""The command line of operators (who run a vault) and administrators (of one account)."""
