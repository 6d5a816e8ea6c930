"""Patches for machines without a GPU: launchers, mixed precision."""

from . import patch
from .helpers import replace, stand_in


@patch(
    'mmengine.dist.utils',
    symptom='torch._C has no attribute _cuda_setDevice with a launcher and no GPU',
    until='mmengine calls torch.cuda.set_device only where CUDA is available',
)
def _launcher_without_gpu(utils):
    import torch

    def set_device(device):
        if torch.cuda.is_available():
            torch.cuda.set_device(device)

    utils.torch = stand_in(torch, cuda=stand_in(torch.cuda, set_device=set_device))
    for name in ('_init_dist_pytorch', '_init_dist_slurm', '_init_dist_mpi'):

        @replace(utils, name)
        def init_dist(original, backend, **kwargs):
            if backend == 'nccl' and not torch.cuda.is_available():
                backend = 'gloo'
            return original(backend, **kwargs)


@patch(
    'mmengine.model.wrappers.distributed',
    symptom='DistributedDataParallel device_ids only work with GPU modules',
    until='Runner.wrap_model passes device_ids only for GPU models',
)
def _ddp_without_gpu(distributed):
    @replace(distributed.MMDistributedDataParallel, '__init__')
    def __init__(original, self, module, *args, **kwargs):
        if all(p.device.type == 'cpu' for p in module.parameters()):
            kwargs['device_ids'] = None
        return original(self, module, *args, **kwargs)


@patch(
    'mmengine.optim.optimizer.amp_optimizer_wrapper',
    symptom='AmpOptimizerWrapper is only available training on gpu',
    until='AmpOptimWrapper accepts a CPU',
    issue='open-mmlab/mmpretrain#1556',
)
def _amp_without_gpu(wrapper):
    import torch

    devices = ('cuda', 'npu', 'mlu', 'musa')
    found = [getattr(wrapper, f'is_{device}_available') for device in devices]

    @replace(wrapper, 'GradScaler')
    def grad_scaler(original, **kwargs):
        if any(available() for available in found):
            return original(**kwargs)
        return torch.amp.GradScaler('cpu', **kwargs)

    wrapper.is_cuda_available = lambda: True  # only an assertion calls it


@patch(
    'mmengine.runner.amp',
    symptom='In CPU autocast, only support `torch.bfloat16` dtype',
    until='mmengine lets torch decide which types CPU autocast knows',
)
def _fp16_autocast_without_gpu(amp):
    import torch
    from mmengine.device import get_device

    @replace(amp, 'autocast')
    def autocast(original, device_type=None, dtype=None, enabled=True, **kwargs):
        device = device_type or get_device()
        if device == 'cpu' and dtype == torch.float16:
            return torch.autocast('cpu', dtype, enabled, **kwargs)
        return original(device_type, dtype, enabled, **kwargs)
