"""A video file becomes a `Clip`. No torch here."""
