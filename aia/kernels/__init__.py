"""C code for the gates, compiled at first use; PyTorch does the same work where no compiler is found."""
