"""Measures each stage on this machine; a row's answer is checked before it is timed."""
