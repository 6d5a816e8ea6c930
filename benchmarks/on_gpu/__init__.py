"""What benchmarks/gpu.py runs: a module for each kind of stage."""
