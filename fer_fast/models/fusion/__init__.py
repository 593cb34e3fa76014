"""Oh & Yoo's classifier: ResNet-18 taps and the image, fused to tokens, into a Vision Transformer."""
