"""C and Triton code for the gates, compiled at first use; without a compiler PyTorch does the same work."""
