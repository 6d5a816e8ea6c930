"""A backend's kernels as operators that PyTorch knows, with fakes and gradients."""
