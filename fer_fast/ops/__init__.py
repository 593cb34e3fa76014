"""The fused op: an image and feature maps come in, a Vision Transformer's tokens go out."""
