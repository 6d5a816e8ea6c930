"""Runs a kernel on the threads that PyTorch's own operators run on."""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch


def run(kernel: int, params: int, tasks: int) -> None:
    """Run a kernel's parallel loop on up to ``torch.get_num_threads()`` threads.

    Which thread runs which task does not change the result.

    Args:
        kernel (int): Address of the compiled kernel.
        params (int): Address of its parameters.
        tasks (int): Turns of the loop.
    """
    threads = 1 if _forked else min(torch.get_num_threads(), tasks)
    if threads == 1:
        _function(kernel)(params)
    elif _openmp() is not None:
        _openmp().GOMP_parallel(kernel, params, threads, 0)
    else:
        submit = _pool().submit
        helpers = [submit(_function(kernel), params) for _ in range(threads - 1)]
        _function(kernel)(params)
        for helper in helpers:
            if not helper.cancel():  # not cancelled: it has begun
                helper.result()


@lru_cache
def _function(address):
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)


@lru_cache
def _openmp():
    """The OpenMP library that torch is linked to, if it has GNU's entry point.

    A pool of our own would run beside it, and after each of its operators torch's
    threads keep their cores busy waiting for the next: on two cores the second one
    was of no use to a pool of our own.
    """
    folder = os.path.join(os.path.dirname(torch.__file__), 'lib')
    try:
        library = ctypes.CDLL(os.path.join(folder, 'libtorch_cpu.so'))
        pointer, number = ctypes.c_void_p, ctypes.c_uint
        library.GOMP_parallel.argtypes = pointer, pointer, number, number
    except (OSError, AttributeError):  # not Linux, or another OpenMP
        return None
    return library


@lru_cache
def _pool():
    return ThreadPoolExecutor(
        os.cpu_count(), thread_name_prefix='mmaction_videomambapro'
    )


# Neither OpenMP's threads nor a pool's survive a fork.
_forked = False


def _after_fork():
    global _forked
    _forked = True


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_after_fork)
