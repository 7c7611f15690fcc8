"""Turns an inspection into pictures, files, scripts and the answer that the page draws."""
