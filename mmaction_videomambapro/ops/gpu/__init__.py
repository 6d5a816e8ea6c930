"""The scan for GPUs: Triton kernels.

``scan`` and ``conv1d`` are the kernels, ``scan_ops`` and ``conv1d_ops`` make PyTorch
operators of them, ``launch`` is what both need.
"""
