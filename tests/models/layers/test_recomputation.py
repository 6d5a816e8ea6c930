"""Mixers that compute their selection again, against mixers that keep it."""

import pytest
import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from mmaction_videomambapro.models.layers import MaskedResidualBiMamba
from mmaction_videomambapro.models.layers.block import MambaBlock
from mmaction_videomambapro.ops.backends import FORCE_VARIABLE
from tests.ops.helpers import relative_error

BATCH, TOKENS, DIMS = 2, 37, 20
INNER = 2 * DIMS


def make(with_cp, **arguments):
    torch.manual_seed(0)
    mixer = MaskedResidualBiMamba(DIMS, d_state=6, with_cp=with_cp, **arguments)
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return mixer


def both(**arguments):
    return [make(with_cp, **arguments) for with_cp in (False, True)]


def tokens():
    torch.manual_seed(1)
    return torch.randn(BATCH, TOKENS, DIMS, requires_grad=True)


def results(mixer, run=None, *more, hidden=None):
    """Output and gradients, by name."""
    hidden = tokens() if hidden is None else hidden
    torch.manual_seed(2)
    y = (mixer if run is None else run)(hidden, *more)
    y.float().square().sum().backward()
    gradients = {name: p.grad for name, p in mixer.named_parameters()}
    return dict(y=y, hidden=hidden.grad, **gradients)


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, x in expected.items():
        if x is None:
            assert found[name] is None, name
        else:
            assert torch.equal(found[name], x), name


class Storages(TorchDispatchMode):
    """Memory of all results, however they are held."""

    def __init__(self):
        super().__init__()
        self.seen = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        for x in tree_leaves(found):
            if isinstance(x, torch.Tensor):
                storage = StorageWeakRef(x.untyped_storage())
                self.seen[storage.cdata] = storage, x.untyped_storage().nbytes()
        return found


def kept(run, mixer):
    """Bytes alive between forward and backward pass, weights and tokens aside."""
    hidden = tokens()
    ours = {x.untyped_storage()._cdata for x in (hidden, *mixer.parameters())}
    with Storages() as storages:
        y = run(hidden)
    sizes = {key: size for key, (s, size) in storages.seen.items() if not s.expired()}
    del y
    return sum(size for key, size in sizes.items() if key not in ours)


@pytest.mark.parametrize('bimamba', ['separate', 'shared', 'none'])
@pytest.mark.parametrize('scan_input', ['conv', 'raw'])
@pytest.mark.parametrize('pro', [True, False])
@pytest.mark.parametrize('spatiotemporal', ['none', 'v1', 'v2'])
def test_results_are_the_same_to_the_last_bit(bimamba, scan_input, pro, spatiotemporal):
    arguments = dict(
        bimamba=bimamba,
        scan_input=scan_input,
        residual=pro,
        masked=pro,
        spatiotemporal=spatiotemporal,
    )
    temporal = () if spatiotemporal == 'none' else (torch.randperm(TOKENS),)
    expected, found = (results(m, None, *temporal) for m in both(**arguments))
    assert_same_bits(found, expected)


@pytest.mark.parametrize('scan_input', ['conv', 'raw'])
@pytest.mark.parametrize(('bimamba', 'selections'), [('separate', 2), ('shared', 1)])
def test_convolutions_and_step_sizes_are_not_kept(scan_input, bimamba, selections):
    keeps, recomputes = both(bimamba=bimamba, scan_input=scan_input)
    saved = kept(keeps, keeps) - kept(recomputes, recomputes)
    assert saved == 2 * selections * BATCH * TOKENS * INNER * 4


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast(dtype):
    outputs = []
    for mixer in both():

        def run(hidden, mixer=mixer):
            with torch.autocast('cpu', dtype):
                return mixer(hidden)

        outputs.append(results(mixer, run))
    assert outputs[0]['y'].dtype == dtype
    assert_same_bits(*outputs)


def test_autocast_of_the_backward_pass_alone_changes_nothing():
    found = []
    for mixer, enabled in zip(both(), (False, True)):
        torch.manual_seed(2)
        x, z = (torch.randn(BATCH, INNER, TOKENS).requires_grad_() for _ in range(2))
        loss = mixer.mix(x, z, ('', '_b')).square().sum()
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            loss.backward()
        found.append(dict(x=x.grad, z=z.grad, weight=mixer.x_proj.weight.grad))
    assert_same_bits(*found)


def test_gradient_of_the_gate_alone():
    found = []
    for mixer in both():
        mixer.requires_grad_(False)
        torch.manual_seed(2)
        x, z = torch.randn(2, BATCH, INNER, TOKENS)
        y = mixer.mix(x, z.requires_grad_(), ('', '_b'))
        found.append(torch.autograd.grad(y.square().sum(), z)[0])
    assert torch.equal(*found)


def test_transforms_of_functions_are_refused():
    _, mixer = both()

    def loss(hidden):
        return mixer(hidden).square().sum()

    with pytest.raises(NotImplementedError, match='SCAN=naive'):
        torch.func.grad(loss)(tokens())


def test_double_precision():
    mixers = [mixer.double() for mixer in both()]
    found = [results(m, hidden=tokens().detach().double().requires_grad_())
             for m in mixers]  # fmt: skip
    assert found[0]['y'].dtype == torch.float64
    assert_same_bits(*found)


def test_triton_kernels(monkeypatch):
    """Few tokens, as the interpreter is slow."""
    monkeypatch.setenv(FORCE_VARIABLE, 'triton')
    few = tokens()[:1, :6].detach()
    found = [results(m, hidden=few.clone().requires_grad_()) for m in both()]
    assert_same_bits(*found)


@pytest.mark.parametrize('backend', ['naive', 'chunked'])
def test_no_scan_in_plain_pytorch_runs_twice(backend, monkeypatch):
    monkeypatch.setenv(FORCE_VARIABLE, backend)
    keeps, recomputes = both()
    assert kept(recomputes, recomputes) == kept(keeps, keeps)
    assert_same_bits(results(recomputes), results(keeps))


def test_in_a_checkpoint_of_the_user():
    keeps, recomputes = both()

    def run(hidden):
        return checkpoint(recomputes, hidden, use_reentrant=False)

    assert_same_bits(results(recomputes, run), results(keeps))
    output = BATCH * TOKENS * DIMS * 4
    assert kept(run, recomputes) == output


def test_with_saved_tensors_elsewhere():
    keeps, recomputes = both()
    with torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda x: x):
        found = results(recomputes)
    assert_same_bits(found, results(keeps))


def test_a_graph_that_is_walked_twice():
    for mixer in both():
        hidden = tokens()
        y = mixer(hidden).square().sum()
        first, second = (
            torch.autograd.grad(y, [hidden, *mixer.parameters()], retain_graph=True)
            for _ in range(2)
        )
        for x, again in zip(first, second):
            assert torch.equal(x, again)


@pytest.mark.parametrize('frozen', ['x_proj', 'dt_proj', 'conv1d', 'in_proj', ''])
def test_frozen_weights(frozen):
    found = []
    for mixer in both():
        for name, parameter in mixer.named_parameters():
            parameter.requires_grad_(not name.startswith(frozen))
        hidden = tokens().detach()
        y = mixer(hidden)
        if y.requires_grad:
            y.square().sum().backward()
        gradients = {name: p.grad for name, p in mixer.named_parameters()}
        found.append(dict(y=y, **gradients))
    assert_same_bits(*found)


class Adapter(nn.Module):
    """As LoRA wraps a layer, with dropout."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.down = nn.Linear(layer.in_features, 2, bias=False)
        self.up = nn.Linear(2, layer.out_features, bias=False)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.layer(x) + self.up(self.down(self.dropout(x)))


def test_an_adapter_in_place_of_a_projection():
    found = []
    for mixer in both():
        torch.manual_seed(3)
        mixer.x_proj_b = Adapter(mixer.x_proj_b)
        found.append(results(mixer))
    assert_same_bits(*found)
    assert found[0]['x_proj_b.up.weight'].any()


def test_a_projection_with_a_bias():
    found = []
    for mixer in both():
        torch.manual_seed(3)
        mixer.x_proj = nn.Linear(INNER, mixer.x_proj.out_features)
        found.append(results(mixer))
    assert_same_bits(*found)


@pytest.mark.parametrize(
    'when', ['forward_pre', 'forward', 'full_backward_pre', 'full_backward']
)
def test_hooks_of_a_projection_are_called(when):
    (_, mixer), calls = both(), []
    register = getattr(mixer.x_proj, f'register_{when}_hook')
    register(lambda *args: calls.append(len(args)))
    results(mixer)
    assert len(calls) == 1


def test_a_projection_with_another_forward_keeps_it():
    """As accelerate's hooks replace it."""
    found = []
    for mixer in both():
        mixer.x_proj.forward = lambda x, w=mixer.x_proj.weight: 2 * x @ w.t()
        found.append(results(mixer))
    assert_same_bits(*found)


def test_nothing_changes_without_gradients():
    keeps, recomputes = both()
    with torch.no_grad():
        assert torch.equal(recomputes(tokens()), keeps(tokens()))


def test_traced():
    _, mixer = both()
    traced = torch.jit.trace(mixer, tokens())
    assert torch.equal(traced(tokens()), mixer(tokens()))


def test_compiled_in_one_graph():
    keeps, recomputes = both()
    compiled = torch.compile(recomputes, fullgraph=True, backend='aot_eager')
    found, expected = results(recomputes, compiled), results(keeps)
    for name, x in expected.items():
        assert relative_error(found[name], x) < 1e-6, name


@pytest.mark.parametrize('name', ['in_proj.weight', 'x_proj.weight', 'A_log'])
def test_second_derivative_is_refused(name):
    _, mixer = both()
    y = mixer(tokens()).square().sum()
    weight = mixer.get_parameter(name)
    (gradient,) = torch.autograd.grad(y, weight, create_graph=True)
    with pytest.raises(RuntimeError, match='SCAN=naive'):
        gradient.sum().backward()


@pytest.mark.parametrize(
    ('name', 'wrong'),
    [
        ('conv1d.weight', torch.zeros(INNER - 1, 1, 4)),
        ('A_log', torch.zeros(INNER, 5)),
        ('D', torch.zeros(INNER - 1)),
        ('dt_proj.bias', torch.zeros(INNER, device='meta')),
    ],
)
def test_weights_that_do_not_fit_are_refused(name, wrong):
    _, mixer = both()
    owner, _, leaf = name.rpartition('.')
    setattr(mixer.get_submodule(owner), leaf, nn.Parameter(wrong))
    with pytest.raises((ValueError, RuntimeError)):
        mixer(tokens())


def test_choices_of_a_layer():
    blocks = {}
    for with_cp in (False, 'selection', True):
        torch.manual_seed(0)
        blocks[with_cp] = MambaBlock(DIMS, with_cp=with_cp)
    all_kept, selection, nothing = (kept(block, block) for block in blocks.values())
    assert all_kept - selection == 4 * BATCH * TOKENS * INNER * 4
    assert nothing < selection / 4
    expected, *others = map(results, blocks.values())
    for found in others:
        assert_same_bits(found, expected)


def test_other_choices_are_refused():
    with pytest.raises(ValueError, match='with_cp must be one of'):
        MambaBlock(DIMS, with_cp='select')
