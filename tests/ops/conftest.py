"""For all tests of ops: unwritten memory holds NaN, and Triton wastes no time."""

import pytest
import torch

try:
    from triton.runtime import interpreter
except ImportError:
    interpreter = None


@pytest.fixture(autouse=True)
def poisoned_memory():
    """A kernel that reads what it has not written shows it in its result.

    In its deterministic mode PyTorch fills new memory, whoever asks for it: results and
    working memory of kernels (which take no other), of compiled graphs, of operators.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True)
def language_patched_once(monkeypatch):
    """Triton's interpreter patches its language in every call of a device function.

    That takes half of its time. Once per launch and module does the same.
    """
    patch = getattr(interpreter, '_patch_lang', None)
    if patch is None:
        return
    launch = interpreter.GridExecutor.__call__

    def launch_patched_once(self, *args, **kwargs):
        scopes = {}

        def patch_once(function):
            module = id(function.__globals__)
            if module not in scopes:
                scopes[module] = patch(function)
            return scopes[module]

        with pytest.MonkeyPatch.context() as context:
            context.setattr(interpreter, '_patch_lang', patch_once)
            return launch(self, *args, **kwargs)

    monkeypatch.setattr(interpreter.GridExecutor, '__call__', launch_patched_once)
