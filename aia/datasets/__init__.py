"""What a data set consists of: the clips of a folder, a table, a pattern or shards, here or at an address."""
