# No pre-training: the encoder starts from its initial weights
model = None
