"""What a start does with containers: what is acknowledged is found, what is not is cut or kept beside."""
