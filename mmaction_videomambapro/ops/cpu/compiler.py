"""Compiles kernels for the CPU at hand, and keeps the machine code on disk."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from threading import Lock

import llvmlite
import llvmlite.binding as llvm
from mmengine.logging import print_log

from . import code_cache
from .lanes import Features, Kernel


class Compiler:
    """LLVM's compiler for the CPU of this machine; see :func:`this_cpu`."""

    def __init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        features = llvm.get_host_cpu_features()
        is_x86 = llvm.get_default_triple().startswith(('x86', 'i686'))
        self.features = Features(
            fma=bool(features.get('fma')) or not is_x86,
            permute=bool(features.get('avx512f')),
            mxcsr=is_x86,
        )
        self.lock = Lock()
        if features.get('avx512f'):
            # LLVM prefers half registers on some CPUs: the lanes want whole ones
            features['prefer-256-bit'] = False
        self.cpu, flags = llvm.get_host_cpu_name(), features.flatten()
        self.target = llvm.get_default_triple(), self.cpu, flags
        self.machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=self.cpu, features=flags, opt=3, jit=True
        )
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(''), self.machine)

    def compile(self, kernel: Kernel) -> int:
        """Finish a kernel, or find it in the cache; returns its address."""
        source = kernel.finish()
        with self.lock:  # threads may use their first kernel at the same time
            return self._address(source, kernel.function.name)

    def _address(self, source, name):
        versions = llvmlite.__version__, llvm.llvm_version_info
        origin = hashlib.sha256(repr((source, *self.target, *versions)).encode())
        file, origin = f'{name}-{origin.hexdigest()[:32]}.o', origin.digest()
        code = code_cache.read(file, origin)
        if code is None:
            _announce(
                f'Compiling kernels for this CPU ({self.cpu}), less than a second '
                'each, the first time they are used.'
            )
            code = self._compile(source)
            _keep(file, origin, code)
        self.engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self.engine.finalize_object()
        return self.engine.get_function_address(name)

    def _compile(self, source: str) -> bytes:
        module = llvm.parse_assembly(source)
        module.verify()
        tuning = llvm.create_pipeline_tuning_options(speed_level=3)
        builder = llvm.create_pass_builder(self.machine, tuning)
        builder.getModulePassManager().run(module, builder)
        return self.machine.emit_object(module)


@lru_cache
def this_cpu() -> Compiler:
    """The compiler of this process."""
    return Compiler()


def _keep(file, origin, code):
    folder = code_cache.cache_folder()
    try:
        code_cache.write(file, origin, code)
    except OSError as error:
        _announce(f'Compiled kernels are not kept in {folder}: {error}')
    else:
        _announce(f'Compiled kernels are kept in {folder}.')


@lru_cache
def _announce(text):
    print_log(text, 'current')
