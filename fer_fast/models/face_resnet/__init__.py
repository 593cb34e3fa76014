"""The residual network of dlib's face recognition model, as a classifier."""
