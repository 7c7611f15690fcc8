"""Training: recipes, clips real and rendered, the loop."""
