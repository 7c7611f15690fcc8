"""AIA Studio's library."""
