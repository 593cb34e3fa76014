"""The models: a room an architecture, what classifiers have in common, and the files that hold them."""
