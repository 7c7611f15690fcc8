"""What stands before Gradio: routes, sizes, memory, temporary files."""
