"""What is installed here, what was patched, and what can run."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from . import __version__, threads
from .compat import PATCHES

REQUIRED = (
    'torch',
    'mmengine',
    'mmcv-lite',
    'mmaction2',
    'importlib_metadata',
    'numpy',
    'wrapt',
)
OPTIONAL = (
    'mmcv',
    'mmpretrain',
    'llvmlite',
    'mamba-ssm',
    'causal-conv1d',
    'triton',
    'tensorboard',
)
DECODERS = {
    'decord': 'decord',
    'av': 'PyAV',
    'cv2': 'opencv',
    'torchcodec': 'torchcodec',
}


def page() -> str:
    """Return the diagnosis as text."""
    sections = {
        'versions': _versions(),
        'devices': _devices(),
        'scan backends': _scan_backends(),
        'video decoders': _decoders(),
        'patches of the stack': _patches(),
    }
    lines = [f'mmaction_videomambapro {__version__}']
    for title, rows in sections.items():
        lines += ['', title]
        width = max(len(name) for name, _ in rows)
        lines += [f'  {name:<{width}}  {text}' for name, text in rows]
    return '\n'.join(lines)


def _versions() -> list[tuple[str, str]]:
    rows = [
        ('python', f'{platform.python_version()} at {sys.executable}'),
        ('system', f'{platform.system()} {platform.release()} {platform.machine()}'),
    ]
    rows += [(name, _version(name) or 'MISSING') for name in REQUIRED]
    rows += [(name, _version(name) or 'not installed') for name in OPTIONAL]
    return [*rows, ('torchvision', _import_state('torchvision'))]


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _devices() -> list[tuple[str, str]]:
    import torch

    rows = [('cpu', f'{os.cpu_count()} cores'), ('threads', threads.describe())]
    if not torch.cuda.is_available():
        built = f'built for CUDA {torch.version.cuda}' if torch.version.cuda else 'CPU'
        rows.append(('cuda', f'not available (torch build: {built})'))
    for i in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(i)
        memory = f'{properties.total_memory / 2**30:.0f} GiB'
        rows.append(
            (f'cuda:{i}', f'{properties.name}, {memory}, CUDA {torch.version.cuda}')
        )
    return rows


def _scan_backends() -> list[tuple[str, str]]:
    import torch

    from .ops.backends import BACKENDS, FORCE_VARIABLE, choose_backend

    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    u = torch.ones(1, 1, 1, device=device)
    rows = []
    for name, backend in BACKENDS.items():
        reason = backend.why_not(u, 1)
        status = f'not available: {reason}' if reason else 'available'
        rows.append((name, f'{status} ({backend.summary})'))
    try:
        chosen = choose_backend(u)
        name = next(n for n, b in BACKENDS.items() if b is chosen)
    except ValueError as error:
        name = str(error)
    rows.append((f'on {device}', f'{name}; {FORCE_VARIABLE} forces another'))
    return rows


def _decoders() -> list[tuple[str, str]]:
    rows = [(name, _import_state(module)) for module, name in DECODERS.items()]
    clash = decord_clash()
    if clash:
        rows.append(('decord', f'CLASH: {clash}'))
    return rows


def _import_state(module: str) -> str:
    """Version of a module, or why it cannot be imported."""
    try:
        found = importlib.import_module(module)
    except Exception as error:  # faults must not stop the report
        missing = importlib.util.find_spec(module) is None
        return 'not installed' if missing else f'BROKEN: {error}'
    return getattr(found, '__version__', 'installed')


def _patches() -> list[tuple[str, str]]:
    """Import every module that may need a patch, and report the state of each patch."""
    from . import PARTS

    missing: dict[str, Exception] = {}
    for module, _ in PARTS:  # these declare more patches
        if module.startswith('mmaction.'):
            missing |= _import_error(module)
    for patch in PATCHES:
        missing |= _import_error(patch.module)
    rows = [
        (patch.module, f'{patch.state}: {patch.symptom} (upstream: {patch.issue})')
        for patch in PATCHES
        if patch.module not in missing
    ]
    return rows + [(name, f'NOT IMPORTABLE: {why}') for name, why in missing.items()]


def _import_error(module: str) -> dict[str, Exception]:
    """A module with the reason why it cannot be imported, or nothing."""
    try:
        importlib.import_module(module)
    except Exception as error:
        return {module: error}
    return {}


def decord_clash() -> str | None:
    """What is wrong if decord and decord2 are both installed, else None.

    Both write the package folder ``decord``, so one overwrites half of the other.
    """
    found = [
        f'{name} {installed}'
        for name in ('decord', 'decord2')
        if (installed := _version(name))
    ]
    if len(found) < 2:
        return None
    return (
        f'{" and ".join(found)} are both installed and overwrite each other: run '
        '"pip uninstall -y decord decord2", then install the one you want'
    )
