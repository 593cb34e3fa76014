"""Measuring: what a benchmark needs to be believed, and the plain script that it is compared with."""
