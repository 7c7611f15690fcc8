"""Everything around Gradio: routes, request sizes, memory, temporary files."""
