"""Rows come in, a table goes out: csv, jsonl or parquet, whole or resumable."""
