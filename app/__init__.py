"""The page: layout, handlers and words. Everything it shows is computed by `aia`."""
