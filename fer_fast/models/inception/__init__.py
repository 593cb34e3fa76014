"""Inception v3, frozen, and what may stand on it: its deepest feature, a CNN on its last map, or both."""
