"""The daemon: takes sealed records from agents, keeps them on its disks, and gives them back to whoever proves the right."""
