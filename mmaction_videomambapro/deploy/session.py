"""Opens an exported model in ONNX Runtime, checks it and runs it: NumPy in and out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import UsageError
from ..literals import printable
from .metadata import Metadata

INPUT, OUTPUTS = 'frames', ('scores', 'features')
LARGEST_FILE = 1 << 31  # bytes of a protocol buffer
LARGEST_SIDE = 1 << 14  # of frames, and how many there are
PLAIN = 'scan', 'chunked'  # lowerings whose operators every runtime has
_TOO_NEW = re.compile(
    r'No Op registered|not a registered function|opset|IR version|'
    r'[Cc]ould not find an implementation'
)
_NO_MEMORY = re.compile(r'allocate memory|bad_alloc|bad allocation|out of memory', re.I)


class OnnxModel:
    """A model in a file that ``tools/deployment/export_onnx.py`` wrote.

    Nothing outside of the file is read, whatever it says.

    Example:
        >>> model = OnnxModel('model.onnx')
        >>> model.run(np.zeros((1, 12, *model.shape), np.uint8)).shape
        (1, 400)

    Args:
        path (str | PathLike): The file.
        threads (int, optional): CPU threads. Defaults to None: ONNX Runtime's choice,
            which is one per core.
        device (str): 'cpu' or 'cuda', which may have a number ('cuda:1').
            Defaults to 'cpu'.

    Attributes:
        path (str): The file.
        metadata (Metadata): What it says of itself.
        shape (tuple[int, ...]): (T, H, W, 3), of a view's frames.
        output (str): What it gives: 'scores' or 'features'.
        num_classes (int | None): How many scores.

    Raises:
        UsageError: If the file cannot be used, or not on this device.
    """

    def __init__(
        self, path: str | os.PathLike, threads: int | None = None, device: str = 'cpu'
    ) -> None:
        self.path = os.fspath(path)
        onnx, runtime = _packages(self.path)
        content = _read(self.path)
        model = _parse(onnx, content, self.path)
        props = {prop.key: prop.value for prop in model.metadata_props}
        self.metadata = Metadata.from_props(props, self.path)
        if any(map(_is_elsewhere, _tensors(model))):
            raise UsageError(
                f'{self.path} keeps weights in other files, which are not read: export '
                'it again, into a single file'
            )
        del model
        self._session = self._open(runtime, content, threads, device)
        self.shape, self.output, self.num_classes = self._signature()
        names = self.metadata.classes
        if names and self.num_classes not in (None, len(names)):
            raise UsageError(
                f'{self.path} is damaged: it names {len(names)} classes, but gives '
                f'{self.num_classes} scores'
            )

    def run(self, frames: np.ndarray) -> np.ndarray:
        """Scores, or features, of some videos.

        Args:
            frames (np.ndarray): (batch, views, T, H, W, 3) uint8 RGB.

        Returns:
            np.ndarray: float32; scores are (batch, classes), averaged over the views.

        Raises:
            UsageError: If frames have another shape or type, or the run fails.
            MemoryError: If memory does not suffice.
        """
        frames = np.asarray(frames)
        if (
            frames.dtype != np.uint8
            or frames.ndim != 6
            or frames.shape[2:] != self.shape
        ):
            expected = ', '.join(map(str, ('batch', 'views', *self.shape)))
            raise UsageError(
                f'{self.path} takes frames as uint8 ({expected}), not {frames.dtype} '
                f'{frames.shape}'
            )
        if not frames.size:
            raise UsageError(f'{self.path} needs frames: there are none')
        try:
            (found,) = self._session.run(
                [self.output], {INPUT: np.ascontiguousarray(frames)}
            )
        except Exception as error:  # ONNX Runtime's have no base class of their own
            if _NO_MEMORY.search(str(error)):
                raise MemoryError(str(error)) from error
            raise UsageError(f'{self.path} fails: {_reason(error)}') from error
        if self.output == 'scores' and found.shape != (len(frames), found.shape[-1]):
            raise UsageError(
                f'{self.path} is damaged: it gives scores of shape {found.shape} for '
                f'{len(frames)} videos'
            )
        return found

    def _open(self, runtime, content, threads, device):
        options = runtime.SessionOptions()
        options.log_severity_level = 4  # what matters is raised as well
        if threads:
            options.intra_op_num_threads = threads
        provider = _provider(runtime, device, self.path)
        try:
            session = runtime.InferenceSession(
                content, options, providers=[provider], enable_fallback=0
            )
        except Exception as error:  # they have no base class of their own
            if _NO_MEMORY.search(str(error)):
                raise UsageError(f'memory does not suffice for {self.path}') from error
            raise self._refusal(error, runtime.__version__) from error
        if session.get_providers()[0] != provider[0]:  # it falls back, with a warning
            raise UsageError(
                f'{self.path} cannot run on {device}: ONNX Runtime cannot use the GPU '
                'here; its log says why'
            )
        return session

    def _refusal(self, error, version):
        if not _TOO_NEW.search(str(error)):
            return UsageError(f'{self.path} cannot be opened: {_reason(error)}')
        way_out = 'install a newer one'
        if self.metadata.lowering not in PLAIN:
            way_out += ', or export the model with --lowering chunked'
        return UsageError(
            f'{self.path} needs operators that onnxruntime {version} does not have: '
            f'{way_out} ({_reason(error)})'
        )

    def _signature(self):
        """Shape of the frames, name of the output, and number of classes.

        Raises:
            UsageError: If the model has other inputs or outputs than ours.
        """
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        taken, given = ([(x.name, x.type) for x in xs] for xs in (inputs, outputs))
        fits = taken == [(INPUT, 'tensor(uint8)')] and given in [
            [(name, 'tensor(float)')] for name in OUTPUTS
        ]
        if fits:
            size, found = inputs[0].shape, outputs[0].shape
            fits = len(size) == 6 and size[5] == 3 and all(map(_is_side, size[2:]))
            if given[0][0] == 'scores':
                fits = fits and len(found) == 2
        if not fits:
            raise UsageError(
                f'{self.path} is not a model of ours: it takes {_shown(inputs)} and '
                f'gives {_shown(outputs)}'
            )
        name, count = given[0][0], found[-1] if given[0][0] == 'scores' else None
        return tuple(size[2:]), name, count if isinstance(count, int) else None


def _packages(path):
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UsageError(
            f"{path} needs pip install 'mmaction_videomambapro[onnx]'"
        ) from error
    return onnx, onnxruntime


def _read(path):
    """The bytes of a file: what is checked is what is run."""
    if not os.path.isfile(path):
        raise UsageError(f'{path} does not exist')
    if os.path.getsize(path) >= LARGEST_FILE:
        raise UsageError(f'{path} is too large to be an ONNX file')
    try:
        with open(path, 'rb') as file:
            return file.read()
    except OSError as error:
        raise UsageError(f'{path} cannot be read: {error.strerror}') from error


def _parse(onnx, content, path):
    try:
        model = onnx.ModelProto.FromString(content)
    except Exception as error:  # protobuf's differ from version to version
        raise UsageError(f'{path} is not an ONNX file, or damaged') from error
    if not model.HasField('graph') or not model.ir_version:
        raise UsageError(f'{path} is not an ONNX file, or damaged')
    return model


def _tensors(message: Any) -> Iterator[Any]:
    """All tensors of a model: of graphs, of attributes, and of functions."""
    if message.DESCRIPTOR.name == 'TensorProto':
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            one = hasattr(value, 'DESCRIPTOR')
            for part in [value] if one else value:
                yield from _tensors(part)


def _is_elsewhere(tensor):
    return tensor.data_location == tensor.EXTERNAL or bool(tensor.external_data)


def _provider(runtime, device, path) -> tuple[str, dict[str, Any]]:
    kind, _, number = str(device).partition(':')
    if kind == 'cpu':
        return 'CPUExecutionProvider', {}
    if kind != 'cuda' or (number and not number.isdecimal()):
        raise UsageError(f'{path} runs on cpu or cuda, not on {device}')
    if 'CUDAExecutionProvider' not in runtime.get_available_providers():
        raise UsageError(
            f'{path} cannot run on {device}, because this onnxruntime is for CPUs: '
            'install onnxruntime-gpu in its place, or choose --device cpu'
        )
    return 'CUDAExecutionProvider', {'device_id': int(number or 0)}


def _is_side(size):
    return isinstance(size, int) and 0 < size <= LARGEST_SIDE


def _shown(values: Sequence[Any]) -> str:
    shown = [f'{x.name}, {x.type} {x.shape}' for x in values[:3]]
    return printable('; '.join(shown))[:150] or 'nothing'


def _reason(error: Exception) -> str:
    """ONNX Runtime's message without its codes and the places in its source."""
    text = ' '.join(str(error).split())
    text = re.sub(r'^\[ONNXRuntimeError\] : \d+ : \w+ : ', '', text)
    text = re.sub(r'/\S+\.(?:cc|h):\d+ .*?\) (?=[A-Z])', '', text)
    return printable(text)[:300].rstrip('. ')
