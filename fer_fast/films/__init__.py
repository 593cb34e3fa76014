"""Films: a file comes in; its frames, upright and each with its time, go out."""
