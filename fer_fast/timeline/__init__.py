"""A table of a film's faces comes in; a page of who was seen in it when, and with which probabilities, goes out."""
