"""Training: recipes, real and rendered clips, the loop."""
