"""What the gates of a network did on a clip, and what they do for its prediction."""
