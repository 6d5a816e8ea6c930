import os
import subprocess
import sys

# multiplies where the config would be read, on two threads of PyTorch's
SCRIPT = """
import torch
from mmaction_videomambapro.apis import train

def multiply(*_):
    print(torch.full((1 << 20,), 1e-30).mul(1e-10).count_nonzero().item())
    raise SystemExit

train.training_config = multiply
train.main(['config.py'])
"""


def test_denormal_numbers_are_zero_in_all_threads():
    environment = {**os.environ, 'OMP_NUM_THREADS': '2'}
    command = [sys.executable, '-c', SCRIPT]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.stdout == '0\n', result.stderr
