"""What a request does, without layout."""
