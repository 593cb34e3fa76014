"""Training on labelled faces, from a recipe to a calibrated checkpoint. `fer-fast train` is its command."""
