"""Training: FERPlus folders come in, checkpoints go out (`python -m fer_fast.train`)."""
