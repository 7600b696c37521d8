"""Week 3: an image-classification pipeline in PyTorch and Lightning."""
