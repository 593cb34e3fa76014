"""The face finder: YuNet."""
