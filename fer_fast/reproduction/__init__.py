"""The study of Oh & Yoo 2023, trained again: which of the image and its feature maps a Vision Transformer is given."""
