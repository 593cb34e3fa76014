"""Training of the face finder: unlabelled photos and a finder that teaches come in, a finder's checkpoint goes out."""
