"""Small networks on small grey faces: convolutions, then dense layers."""
