"""One module per noun of the command line; each offers its group as `command`."""
