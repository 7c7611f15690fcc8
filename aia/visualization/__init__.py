"""An inspection becomes pictures, files, programs and the answer that the page draws."""
