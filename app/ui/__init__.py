"""The page: layout, events, HTML."""
