"""The stages: one module each, whose `cases` says what there is to measure; nothing is computed before `prepare`."""
