"""For all tests of ops: memory that nobody has written holds NaN."""

import pytest
import torch


@pytest.fixture(autouse=True)
def poisoned_memory():
    """A kernel that reads what it has not written shows it in its result.

    In its deterministic mode PyTorch fills new memory, whoever asks for it: results and
    working memory of kernels (which take no other), of compiled graphs, of operators.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)
