"""Models on disk: checkpoints, exports and what they say of themselves."""
