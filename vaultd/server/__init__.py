"""The network shell: decodes, authorises, delegates to operations through offload, answers."""
