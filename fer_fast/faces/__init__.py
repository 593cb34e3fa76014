"""Photos come in, their faces go out: boxes, landmarks and scores, and crops as a classifier was trained on them."""
