"""Fits checkpoints from elsewhere to a model, and prepares ours for release."""
