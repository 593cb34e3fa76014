"""Tables of shares, finished or not, become one table: whole, or not there, and its memory does not grow with them."""

from fer_fast.merge.merging import Merged, merge_tables

__all__ = ["Merged", "merge_tables"]
