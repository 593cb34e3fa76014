"""The model: ResNet-18 taps, fused tokens, Vision Transformer, and the file that holds them."""
