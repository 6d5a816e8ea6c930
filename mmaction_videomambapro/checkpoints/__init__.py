"""Checkpoints from elsewhere fitted to a model, and ours made fit to publish."""
