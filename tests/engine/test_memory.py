import subprocess
import sys

import pytest

COUNT_FAULTS = """
import ctypes, resource, sys, torch
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # no huge pages (PR_SET_THP_DISABLE)
from mmaction_videomambapro.engine.memory import keep_freed_memory
if 'keep' in sys.argv:
    keep_freed_memory()
def step():
    tensors = [torch.zeros(1 << 21) for _ in range(4)]  # 8 MB each
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='a matter of glibc')
def test_freed_memory_is_used_again():
    def faults(*args):
        command = [sys.executable, '-c', COUNT_FAULTS, *args]
        return int(subprocess.run(command, capture_output=True, check=True).stdout)

    # how many there are without is up to the system, but many
    assert faults() > 3 * faults('keep')
