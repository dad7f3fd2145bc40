"""What agent and vaultctl share: keys, envelopes, manifests, and talking to a vault."""
