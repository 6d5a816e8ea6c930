"""Models as files that need neither PyTorch nor MMAction2."""
