"""Rows become a table, csv, jsonl or parquet, of finished parts: it is whole, or can be resumed, or is not there."""
