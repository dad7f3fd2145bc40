"""What is asked of the operating system: attributes, holes, owners, mounts, memory, priority."""
