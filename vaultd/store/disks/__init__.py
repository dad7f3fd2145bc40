"""The disks of a store: identity, the list of all that belong to it, opening them, and the room on them."""
