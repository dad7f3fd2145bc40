"""What is measured: this product and its peers, each as its user starts it."""
