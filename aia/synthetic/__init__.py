"""Drawn clips: scenes, gestures, and clips that show no gesture."""
