"""Every published kind of file, loaded the way users load it."""

import threading
from argparse import Namespace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.hooks import EMAHook
from mmengine.runner import Runner, load_checkpoint
from torch import nn
from torch.nn import functional as F

from mmaction_videomambapro.checkpoints.fit import MismatchError, adapt, convert, fit
from mmaction_videomambapro.engine.hooks import AdaptCheckpointHook
from mmaction_videomambapro.safe_load import CheckpointError
from tests.models.backbones.test_videomamba import GOLDEN

pytestmark = pytest.mark.usefixtures('scope')


def recognizer(num_classes=5, **backbone):
    """The config of the network in the golden files, or of another one."""
    base = dict(
        type='VideoMamba',
        arch=dict(embed_dims=24, depth=2),
        img_size=32,
        num_frames=4,
        drop_path_rate=0.0,
    )
    backbone = {**base, **backbone}
    head = dict(
        type='TimeSformerHead',
        num_classes=num_classes,
        in_channels=backbone['arch']['embed_dims'],
    )
    return dict(type='Recognizer3D', backbone=backbone, cls_head=head)


def build(**kwargs):
    model = MODELS.build(recognizer(**kwargs))
    model.init_weights()
    return model.eval()


@pytest.fixture
def official(golden):
    return golden('videomamba_official')


@pytest.fixture
def save(tmp_path):
    def write(content, name='official.pth'):
        torch.save(content, tmp_path / name)
        return str(tmp_path / name)

    return write


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """The URL of a file in ``tmp_path``."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = partial(Quiet, directory=str(tmp_path))
    server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
    loop = partial(server.serve_forever, poll_interval=0.01)
    threading.Thread(target=loop, daemon=True).start()
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    yield lambda name: f'http://127.0.0.1:{server.server_port}/{name}'
    server.shutdown()
    server.server_close()


@pytest.fixture
def load_from(tmp_path, request):
    """The model after MMEngine's Runner has applied ``load_from = file``."""

    def run(file, model, *hooks):
        runner = Runner(
            model=model,
            work_dir=str(tmp_path / 'work_dir'),
            load_from=file,
            custom_hooks=list(hooks),
            default_scope='mmaction',
            experiment_name=f'{request.node.name}{id(model)}',
        )
        runner.call_hook('before_run')
        runner.load_or_resume()
        runner.model.eval()
        return runner

    return run


@torch.no_grad()
def logits(model, clips):
    return model(clips.unsqueeze(1), mode='tensor', stage='head')


def assert_golden(model, data):
    torch.testing.assert_close(
        logits(model.eval(), data['input']), data['logits'], rtol=1e-4, atol=1e-5
    )


def renamed(state_dict, prefix):
    return {prefix + key: value for key, value in state_dict.items()}


def of_mmaction(state_dict):
    return {
        key.replace('head.', 'cls_head.fc_cls.')
        if key.startswith('head.')
        else f'backbone.{key}': value
        for key, value in state_dict.items()
    }


def as_image_file(state_dict, classes=1000):
    """What ImageNet training publishes: a 2-D kernel, no time, other classes."""
    image = dict(state_dict)
    image['patch_embed.proj.weight'] = image['patch_embed.proj.weight'][:, :, 0]
    del image['temporal_pos_embedding']
    image['head.weight'] = torch.randn(classes, 24)
    image['head.bias'] = torch.randn(classes)
    return image


# --- golden logits through load_from= and init_cfg= --------------------------------


@pytest.mark.parametrize('name', GOLDEN)
def test_every_published_variant_gives_its_logits(golden, load_from, save, serve, name):
    data = golden(name)
    file = save(dict(model=data['state_dict']), f'{name}.pth')
    for source in (file, serve(f'{name}.pth')):
        assert_golden(load_from(source, recognizer(**GOLDEN[name])).model, data)


WRAPPED = {
    'flat': lambda s: s,
    'module': lambda s: dict(module=s, epoch=3),
    'state_dict': lambda s: dict(state_dict=s, meta={}),
    'nested': lambda s: dict(state_dict=dict(model=s)),
    'with_arguments': lambda s: dict(model=s, args=Namespace(lr=1e-3), epoch=29),
    'backbone_prefix': lambda s: dict(model=renamed(s, 'backbone.')),
    'encoder_prefix': lambda s: renamed(s, 'encoder.'),
    'ddp': lambda s: dict(model=renamed(s, 'module.')),
    'ddp_backbone': lambda s: dict(state_dict=renamed(s, 'module.backbone.')),
    'mmaction': lambda s: dict(meta={}, state_dict=of_mmaction(s)),
    'mmpretrain': lambda s: dict(
        state_dict={
            (k.replace('head.', 'head.fc.') if 'head' in k else f'backbone.{k}'): v
            for k, v in s.items()
        }
    ),
}


@pytest.mark.parametrize('wrapper', WRAPPED)
def test_wrappers_and_prefixes(official, save, wrapper):
    model = build()
    load_checkpoint(model, save(WRAPPED[wrapper](official['state_dict'])))
    assert_golden(model, official)


def test_init_cfg_of_the_recognizer_and_of_the_backbone(official, save):
    file = save(dict(model=official['state_dict']))
    pretrained = dict(type='Pretrained', checkpoint=file)
    model = MODELS.build(recognizer())
    model.init_cfg = pretrained  # Recognizer3D takes it as an attribute only
    model.init_weights()
    assert_golden(model, official)

    model = build(init_cfg=pretrained)
    with torch.no_grad():
        features = model.backbone(official['input'])
    torch.testing.assert_close(features, official['features'], rtol=1e-4, atol=1e-5)


def test_init_cfg_with_a_prefix_of_our_own_checkpoint(official, save):
    file = save(dict(state_dict=of_mmaction(official['state_dict'])))
    pretrained = dict(type='Pretrained', checkpoint=file, prefix='backbone.')
    model = build(init_cfg=pretrained, num_frames=6)  # does not fit exactly
    time = model.backbone.temporal_pos_embedding
    assert time.shape[1] == 6
    assert time.abs().sum() > 0
    weight = official['state_dict']['norm_f.weight']
    torch.testing.assert_close(model.backbone.norm_f.weight.data, weight)


def test_image_file_starts_a_video_model(official, load_from, save, caplog):
    """IN-1K to K400: a fresh head, no temporal embedding, the rest unchanged."""
    image = as_image_file(official['state_dict'])
    config = recognizer(num_classes=400, num_frames=8, tubelet_size=1)
    model = load_from(save(image), config).model
    backbone = model.backbone.state_dict()
    assert backbone.pop('temporal_pos_embedding').abs().sum() == 0
    kernel = backbone.pop('patch_embed.proj.weight')
    torch.testing.assert_close(kernel[:, :, 0], image['patch_embed.proj.weight'])
    for key, value in backbone.items():
        torch.testing.assert_close(value, image[key], rtol=0, atol=0)

    _, report = adapt(image, MODELS.build(config))
    assert set(report.fresh) == {
        'backbone.temporal_pos_embedding',
        'cls_head.fc_cls.weight',
        'cls_head.fc_cls.bias',
    }
    text = str(report)
    assert '1000 classes in the file, 400 in the model' in text
    assert len(text.splitlines()) <= 6


def test_averaged_weights_get_published_weights_too(official, load_from, save):
    """EMAHook copies the weights of load_from before the model loads them."""
    runner = load_from(save(official['state_dict']), recognizer(), dict(type='EMAHook'))
    assert_golden(runner.model, official)
    hook = next(h for h in runner.hooks if isinstance(h, EMAHook))
    assert_golden(hook.ema_model.module, official)


def test_averaged_or_raw_weights(official, load_from, save):
    averaged = of_mmaction(official['state_dict'])
    raw = {key: value.clone() for key, value in averaged.items()}
    raw['cls_head.fc_cls.bias'] += 1
    content = dict(
        state_dict=averaged,
        ema_state_dict={**renamed(raw, 'module.'), 'steps': torch.tensor(7)},
    )
    file = save(content)
    assert_golden(load_from(file, recognizer()).model, official)
    hook = dict(type='AdaptCheckpointHook', weights='raw')
    model = load_from(file, recognizer(), hook).model
    shifted = {**official, 'logits': official['logits'] + 1}
    assert_golden(model, shifted)
    with pytest.raises(MismatchError, match='no ema_state_dict'):
        adapt(dict(state_dict=averaged), model, weights='raw')


# --- what is left alone ------------------------------------------------------------


def test_a_checkpoint_that_fits_is_not_touched():
    model = build()
    state_dict = model.state_dict()
    assert fit(state_dict, model) is state_dict


def test_other_models_load_as_ever(save):
    model = nn.ModuleDict(dict(backbone=nn.Linear(2, 3), neck=nn.Linear(3, 1)))
    weight = torch.randn(3, 2)
    content = {'backbone.weight': weight, 'pos_embed': torch.zeros(1), 'head.x': weight}
    load_checkpoint(model, save(content))  # only logs what does not fit
    torch.testing.assert_close(model['backbone'].weight.data, weight)
    with pytest.raises(CheckpointError, match='Linear has no VideoMamba'):
        adapt(content, nn.Linear(1, 1))


def test_resuming_is_left_alone(official, save, load_from):
    """The hook for options must not replace the weights of a resumed run."""
    runner = load_from(None, recognizer())
    runner._resume = True
    checkpoint = dict(state_dict=dict(x=torch.zeros(1)))
    AdaptCheckpointHook().after_load_checkpoint(runner, checkpoint)
    assert checkpoint['state_dict'].keys() == {'x'}


# --- the rules ---------------------------------------------------------------------


@pytest.mark.parametrize('frames', [1, 2, 3, 4])
@pytest.mark.parametrize('mode', ['centre', 'mean'])
def test_inflation(official, frames, mode):
    image = as_image_file(official['state_dict'], classes=5)
    kernel = image['patch_embed.proj.weight']
    model = build(tubelet_size=frames, num_frames=2 * frames)
    state_dict, _ = adapt(image, model, inflate=mode)
    model.load_state_dict(state_dict)
    clip = torch.randn(1, 3, frames, 32, 32)
    result = model.backbone.patch_embed(clip)[:, :, 0]
    frame = clip[:, :, frames // 2] if mode == 'centre' else clip.mean(2)
    expected = F.conv2d(frame, kernel, image['patch_embed.proj.bias'], stride=16)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)


def one_kernel(backbone, clip):
    """What the patch embedding makes of a clip of one tubelet, without the bias."""
    proj = backbone.patch_embed.proj
    return F.conv3d(clip, proj.weight, stride=proj.stride)[:, :, 0]


@pytest.mark.parametrize(('given', 'wanted'), [(1, 2), (1, 3), (2, 3), (2, 4), (3, 4)])
@pytest.mark.parametrize('mode', ['centre', 'mean'])
def test_tubelets_of_fewer_frames(given, wanted, mode):
    """In the middle of longer ones, or stretched over them; 1 as a 2-D kernel."""
    source = build(tubelet_size=given, num_frames=12)
    model = build(tubelet_size=wanted, num_frames=12)
    state_dict, report = adapt(source.state_dict(), model, inflate=mode)
    model.load_state_dict(state_dict)
    if mode == 'centre':
        clip = torch.randn(1, 3, wanted, 32, 32)
        start = wanted // 2 - given // 2
        expected = one_kernel(source.backbone, clip[:, :, start : start + given])
    else:  # each frame of the short tubelet lasts wanted / given frames of the long one
        times = given * wanted
        clip = torch.randn(1, 3, wanted, 32, 32)
        fine = clip.repeat_interleave(given, 2)  # (times) frames
        short = fine.unflatten(2, (given, times // given)).mean(3)
        expected = one_kernel(source.backbone, short)
    actual = one_kernel(model.backbone, clip)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    how = report.adapted['backbone.patch_embed.proj.weight']
    assert how == f'kernel of {given} frame(s) inflated to {wanted}, {mode}'
    length = state_dict['backbone.temporal_pos_embedding'].shape[1]
    assert length == 12 // wanted


@pytest.mark.parametrize(('given', 'wanted'), [(2, 1), (4, 3)])
def test_tubelets_of_more_frames(given, wanted):
    """Only a sum preserves the embedding of a still clip."""
    source = build(tubelet_size=given, num_frames=12)
    model = build(tubelet_size=wanted, num_frames=12)
    with pytest.raises(MismatchError, match=r"more frames .* inflate='mean' adds up"):
        adapt(source.state_dict(), model)
    state_dict, _ = adapt(source.state_dict(), model, inflate='mean')
    model.load_state_dict(state_dict)
    still = torch.randn(1, 3, 1, 32, 32).expand(-1, -1, given, -1, -1)
    torch.testing.assert_close(
        one_kernel(model.backbone, still[:, :, :wanted]),
        one_kernel(source.backbone, still), rtol=1e-4, atol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize('inflate', ['centre', 'mean'])
def test_patches_of_another_size_are_not_tubelets(inflate):
    source, model = build(tubelet_size=1), build(tubelet_size=2, patch_size=8)
    with pytest.raises(MismatchError, match=r'patch_embed\.proj\.weight .* instead of'):
        adapt(source.state_dict(), model, inflate=inflate)


def test_temporal_embedding_of_another_length(official):
    file = dict(official['state_dict'])
    a, b = torch.randn(2, 24)
    file['temporal_pos_embedding'] = torch.stack([a, b])[None]
    state_dict, report = adapt(file, build(num_frames=4))
    result = state_dict['backbone.temporal_pos_embedding'][0]
    # sample i of 4 lies at (i + 0.5) / 2 - 0.5 = -0.25, 0.25, 0.75, 1.25
    expected = [a, 0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b, b]
    torch.testing.assert_close(result, torch.stack(expected))
    how = report.adapted['backbone.temporal_pos_embedding']
    assert how == 'linear from 2 to 4 positions'


def cubic_weights(n, size):
    """Rows of weights of n samples for each of ``size``, Keys' kernel, a = -0.75."""
    weights = torch.zeros(size, n)
    for i in range(size):
        x = (i + 0.5) * n / size - 0.5
        for j in range(int(x // 1) - 1, int(x // 1) + 3):
            d = abs(x - j)
            if d <= 1:
                w = 1.25 * d**3 - 2.25 * d**2 + 1
            else:
                w = -0.75 * (d**3 - 5 * d**2 + 8 * d - 4)
            weights[i, min(max(j, 0), n - 1)] += w
    return weights


@pytest.mark.parametrize('size', [(48, 48), (16, 48)])
def test_position_embedding_of_another_resolution(official, size):
    table = official['state_dict']['pos_embed']
    model = build(img_size=size)
    state_dict, report = adapt(official['state_dict'], model)
    result = state_dict['backbone.pos_embed']
    rows, columns = cubic_weights(2, size[0] // 16), cubic_weights(2, size[1] // 16)
    grid = torch.einsum('yh,xw,hwc->yxc', rows, columns, table[0, 1:].view(2, 2, 24))
    torch.testing.assert_close(result[:, 0], table[:, 0])
    torch.testing.assert_close(result[0, 1:], grid.flatten(0, 1), rtol=1e-4, atol=1e-6)
    assert 'bicubic from 2x2' in report.adapted['backbone.pos_embed']
    assert report.fresh == report.unused == {}


def test_separate_file_in_a_shared_model(official):
    model = build(bimamba='shared')
    state_dict, report = adapt(official['state_dict'], model)
    assert state_dict.keys() == model.state_dict().keys()
    assert len(report.unused) == 2 * 6
    assert all(key.endswith(('_b', '_b.weight', '_b.bias')) for key in report.unused)
    assert report.adapted == report.fresh == {}


@pytest.mark.parametrize('bimamba', ['shared', 'none'])
def test_shared_file_in_a_separate_model(golden, bimamba):
    data = golden('videomambapro_paper_v1')
    file = dict(data['state_dict'])
    if bimamba == 'none':
        file = {k: v for k, v in file.items() if 'A_b_log' not in k}
    state_dict, report = adapt(file, build())
    mixer = 'backbone.layers.1.mixer'
    for kind in ('conv1d{}.bias', 'x_proj{}.weight', 'dt_proj{}.bias', 'D{}'):
        forward = file[f'layers.1.mixer.{kind.format("")}']
        copied = state_dict[f'{mixer}.{kind.format("_b")}']
        torch.testing.assert_close(copied, forward, rtol=0, atol=0)
    own = 'A_log' if bimamba == 'none' else 'A_b_log'
    A = state_dict[f'{mixer}.A_b_log']
    torch.testing.assert_close(A, file[f'layers.1.mixer.{own}'], rtol=0, atol=0)
    assert 'layers.{0-1}.mixer.D_b' in str(report)


def test_masked_pretraining_file(official):
    file = dict(official['state_dict'])
    file['norm.weight'] = file.pop('norm_f.weight')
    del file['head.weight'], file['head.bias']
    file['clip_decoder.0.head.weight'] = torch.randn(8, 24)
    file['clip_decoder.0.norm.bias'] = torch.randn(8)
    state_dict, report = adapt(dict(model=file), build())
    assert set(report.fresh) == {
        'backbone.norm_f.weight',
        'cls_head.fc_cls.weight',
        'cls_head.fc_cls.bias',
    }
    assert set(report.unused) == {
        'norm.weight', 'clip_decoder.0.head.weight', 'clip_decoder.0.norm.bias'
    }  # fmt: skip
    assert torch.equal(state_dict['backbone.norm_f.weight'], torch.ones(24))


def test_head_by_label_names(official, load_from, save, tmp_path):
    names = dict(file='abcde', model='dbe')
    for side, letters in names.items():
        (tmp_path / side).write_text('\n'.join(f'class {x}' for x in letters) + '\n')
    label_map = [str(tmp_path / 'file'), str(tmp_path / 'model')]
    hook = dict(type='AdaptCheckpointHook', label_map=label_map)
    file = save(official['state_dict'])
    model = load_from(file, recognizer(num_classes=3), hook).model
    assert_golden(model, {**official, 'logits': official['logits'][:, [3, 1, 4]]})

    # of the same count in another order: by name as well
    (tmp_path / 'model').write_text('\n'.join(f'class {x}' for x in 'edcba'))
    model = load_from(file, recognizer(num_classes=5), hook).model
    assert_golden(model, {**official, 'logits': official['logits'].flip(1)})


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        ('a\nb', '2 label names, the head of the model 3 classes'),
        ('a\nb\nx', 'x'),
        (None, 'cannot be read'),
    ],
)
def test_wrong_label_names(official, tmp_path, names, message):
    (tmp_path / 'file').write_text('a\nb\nc\nd\ne')
    if names:
        (tmp_path / 'model').write_text(names)
    with pytest.raises(CheckpointError, match=message):
        adapt(
            official['state_dict'],
            build(num_classes=3),
            label_map=(tmp_path / 'file', tmp_path / 'model'),
        )


# --- classes, and what tests need ---------------------------------------------------


class Named(torch.utils.data.Dataset):
    """Data whose classes have names."""

    def __init__(self, names):
        self.metainfo = dict(classes=names) if names else {}

    def __len__(self):
        return 1

    def __getitem__(self, i):
        return torch.zeros(1)


LETTERS = list('abcde')


@pytest.fixture
def run(tmp_path, request, caplog):
    """A runner as at loading, in training or testing, and its log messages."""

    def start(file, config, kind, names=None, hooks=(), resume=False):
        loader = dict(dataset=Named(names), batch_size=1,
                      sampler=dict(type='DefaultSampler'))  # fmt: skip
        loop = {
            'train': dict(train_dataloader=loader,
                          train_cfg=dict(by_epoch=True, max_epochs=1),
                          optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1))),
            'test': dict(test_dataloader=loader, test_cfg={}, test_evaluator=[
                dict(type='AccMetric')]),
            'val': dict(val_dataloader=loader, val_cfg={}, val_evaluator=[
                dict(type='AccMetric')]),
        }[kind]  # fmt: skip
        name = f'{request.node.name}{len(caplog.text)}{kind}{names}'
        runner = Runner(
            model=config, work_dir=str(tmp_path / 'run'), load_from=file,
            custom_hooks=list(hooks), default_scope='mmaction', experiment_name=name,
            resume=resume, **loop,
        )  # fmt: skip
        getattr(runner, f'{kind}_loop')  # is built
        runner.call_hook('before_run')
        runner.model.cls_head.fc_cls.bias.data.fill_(7)  # its own, if it stays fresh
        if resume:
            runner.load_checkpoint(file)  # as runner.resume does at first
        runner.load_or_resume()
        return runner.model.eval()

    return start


def log_of(folder):
    return ''.join(x.read_text() for x in (folder / 'run').rglob('*.log'))


def of_classes(state_dict, names):
    """A checkpoint of MMEngine from data with these classes."""
    meta = dict(dataset_meta=dict(classes=names)) if names else {}
    return dict(meta=meta, state_dict=of_mmaction(state_dict))


HEADLESS = {
    'no head': lambda s: {k: v for k, v in s.items() if not k.startswith('head')},
    'another head': lambda s: {**s, 'head.weight': torch.randn(9, 24),
                               'head.bias': torch.randn(9)},
    'an image file': lambda s: as_image_file(s, classes=5),
    'a pre-training': lambda s: {k.replace('norm_f', 'norm'): v for k, v in s.items()
                                 if not k.startswith('head')},
}  # fmt: skip


@pytest.mark.parametrize('kind', HEADLESS)
def test_tests_need_every_weight(official, save, run, kind, tmp_path):
    """Training may start without it."""
    file = save(HEADLESS[kind](official['state_dict']))
    for loop in ('test', 'val'):
        with pytest.raises(MismatchError, match='would be random: ') as error:
            run(file, recognizer(), loop)
        assert str(error.value).startswith(f'{file}: ')
        assert '\n' not in str(error.value)
        for hook in (dict(type='AdaptCheckpointHook', strict=False),
                     dict(type='EMAHook')):  # fmt: skip
            with pytest.raises(MismatchError, match='would be random: '):
                run(file, recognizer(), loop, hooks=[hook])
    head = run(file, recognizer(), 'train').cls_head.fc_cls
    assert head.bias.eq(7).all() or kind == 'an image file'


def test_resumed_trainings_need_every_weight(official, save, run):
    content = HEADLESS['no head'](official['state_dict'])
    file = save(dict(state_dict=content, meta=dict(epoch=0, iter=0), message_hub={}))
    with pytest.raises(MismatchError, match='would be random: cls_head'):
        run(file, recognizer(), 'train', resume=True)


def test_recognizers_for_predictions_need_every_weight(official, save):
    from mmaction.apis import init_recognizer
    from mmengine.config import Config

    whole = of_classes(official['state_dict'], LETTERS)
    config = Config(dict(model=recognizer()))
    assert_golden(init_recognizer(config, save(whole), device='cpu'), official)
    file = save(HEADLESS['no head'](official['state_dict']), 'none.pth')
    with pytest.raises(MismatchError, match='would be random: cls_head'):
        init_recognizer(config, file, device='cpu')
    for names, fits in ((LETTERS, True), (LETTERS[::-1], False)):
        data = dict(dataset=dict(metainfo=dict(classes=names)))
        config = Config(dict(model=recognizer(), test_dataloader=data))
        if fits:
            init_recognizer(config, save(whole), device='cpu')
        else:
            with pytest.raises(MismatchError, match="class 0 is 'a' in the checkpoint"):
                init_recognizer(config, save(whole), device='cpu')


def test_other_models_are_tested_with_every_weight_too(save):
    from mmaction_videomambapro.checkpoints.loading import loading

    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = model.state_dict()
    load = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    del state['1.num_batches_tracked']  # which MMEngine does not miss
    with loading(complete=True):
        load_checkpoint(load, save(state))
    for change, message in (
        (lambda s: s.pop('0.bias'), r'random: 0\.bias \(not in the file\)'),
        (lambda s: s.update({'0.bias': torch.zeros(4)}), r'size mismatch for 0\.bias'),
    ):
        broken = dict(state)
        change(broken)
        load_checkpoint(load, save(broken))
        with loading(complete=True), pytest.raises(MismatchError, match=message):
            load_checkpoint(load, save(broken))


def test_what_was_converted_with_random_weights_is_not_tested(
    official, save, run, tmp_path
):
    """It can be trained."""
    file = dict(official['state_dict'])
    del file['layers.1.mixer.D']
    ours = str(tmp_path / 'ours.pth')
    convert(save(file), ours, recognizer(), strict=False)
    with pytest.raises(
        MismatchError, match=r'random, .*: backbone\.layers\.1\.mixer\.D'
    ):
        run(ours, recognizer(), 'test')
    run(ours, recognizer(), 'train')


def test_published_image_file_is_tested_unchanged(official, save, run):
    """An image has no temporal position."""
    file = save(as_image_file(official['state_dict'], classes=5))
    backbone = run(file, recognizer(num_frames=1, tubelet_size=1), 'test').backbone
    assert backbone.temporal_pos_embedding.abs().sum() == 0


@pytest.mark.parametrize(
    ('there', 'here', 'difference'),
    [
        (LETTERS, list('abXde'), "class 2 is 'c' in the checkpoint and 'X' .*1 of 5"),
        (LETTERS, LETTERS[::-1], "class 0 is 'a' in the checkpoint and 'e' .*4 of 5"),
        (LETTERS, list('abc'), '5 classes in the checkpoint, 3 in the data'),
        (LETTERS, LETTERS, None),
        (tuple(LETTERS), LETTERS, None),
        (None, LETTERS, None),
        (LETTERS, None, None),
        (['a', 1], LETTERS, None),
    ],
)
def test_tests_are_of_the_classes_trained_for(
    official, save, run, there, here, difference
):
    file = save(of_classes(official['state_dict'], there))
    if difference is None:
        assert_golden(run(file, recognizer(), 'test', here), official)
        return
    with pytest.raises(MismatchError, match=f'trained for other classes: {difference}'):
        run(file, recognizer(), 'test', here)


def test_two_lists_of_names_are_believed_in_tests(official, save, run, tmp_path):
    """Even if the names differ, as with renamed classes."""
    for side, letters in dict(file=LETTERS, model=LETTERS[::-1]).items():
        (tmp_path / side).write_text('\n'.join(letters))
    label_map = [str(tmp_path / 'file'), str(tmp_path / 'model')]
    hook = dict(type='AdaptCheckpointHook', label_map=label_map)
    file = save(of_classes(official['state_dict'], LETTERS))
    model = run(file, recognizer(), 'test', list('VWXYZ'), [hook])
    assert_golden(model, {**official, 'logits': official['logits'].flip(1)})


@pytest.mark.parametrize('hook', [None, 'EMAHook', 'AdaptCheckpointHook'])
def test_fine_tuning_for_other_classes_of_the_same_number(
    official, save, run, hook, tmp_path
):
    hooks = [dict(type=hook)] if hook else []
    file = save(of_classes(official['state_dict'], LETTERS))
    model = run(file, recognizer(), 'train', list('abXYZ'), hooks)
    assert model.cls_head.fc_cls.bias.eq(7).all()
    key = 'norm_f.weight'
    torch.testing.assert_close(
        model.backbone.state_dict()[key], official['state_dict'][key]
    )
    log = log_of(tmp_path)
    assert 'WARNING' in log
    assert (
        log.count("class 2 is 'c' in the checkpoint and 'X' in the data; 3 of 5") == 1
    )


def test_fine_tuning_for_the_same_classes(official, save, run, tmp_path):
    file = save(of_classes(official['state_dict'], LETTERS))
    assert_golden(run(file, recognizer(), 'train', LETTERS), official)
    assert 'head was kept' not in log_of(tmp_path)
    # in another order: their rows are found by name
    model = run(file, recognizer(), 'train', LETTERS[::-1])
    assert_golden(model, {**official, 'logits': official['logits'].flip(1)})
    assert '5 rows of 5 by label name' in log_of(tmp_path)


def test_names_that_are_not_those_of_the_head(official, save, run):
    """Their number differs from that of the rows, as in a hand-written file."""
    file = save(of_classes(official['state_dict'], list('abcdefg')))
    model = run(file, recognizer(), 'train', list('gfedcba'))
    assert model.cls_head.fc_cls.bias.eq(7).all()


@pytest.mark.parametrize(('there', 'here'), [(None, LETTERS), (LETTERS, None)])
@pytest.mark.parametrize('exact', [True, False])
def test_a_head_that_nobody_can_compare_is_kept_and_said(
    official, save, run, there, here, exact, tmp_path
):
    file = save(of_classes(official['state_dict'], there))
    run(file, recognizer(num_frames=4 if exact else 6), 'train', here)
    log = log_of(tmp_path)
    assert log.count('The head was kept') == 1
    silent = 'the data has no names' if there else 'the checkpoint has no names'
    assert silent in log


# --- refusals ----------------------------------------------------------------------


def without(key):
    def change(file):
        del file[key]

    return change


BROKEN = {
    'a parameter is missing': (without('norm_f.weight'), '1 not in the file: .*norm_f'),
    'a video file without time': (
        without('temporal_pos_embedding'),
        'not in the file: .*temporal_pos_embedding',
    ),
    'half a head': (without('head.bias'), r'not in the file: cls_head\.fc_cls\.bias'),
    'one of all backward parameters': (
        without('layers.1.mixer.D_b'),
        r'1 not in the file: backbone\.layers\.1\.mixer\.D_b',
    ),
    'an unknown key': (
        lambda file: file.update({'layers.1.attention.qkv': torch.ones(1)}),
        r'1 unknown: layers\.1\.attention\.qkv',
    ),
    'a shape without a rule': (
        lambda file: file.update({'layers.0.mixer.D': torch.ones(7)}),
        r'layers\.0\.mixer\.D \(7,\) instead of \(48,\)',
    ),
    'no square grid': (
        lambda file: file.update(pos_embed=torch.ones(1, 7, 24)),
        r'pos_embed \(1, 7, 24\) instead of \(1, 5, 24\)',
    ),
    'twice the same': (
        lambda file: file.update({'backbone.cls_token': file['cls_token']}),
        'are both cls_token',
    ),
}


@pytest.mark.parametrize('reason', BROKEN)
def test_what_is_unexpected_is_refused(official, load_from, save, reason):
    change, message = BROKEN[reason]
    file = dict(official['state_dict'])
    change(file)
    path = save(dict(model=file))
    with pytest.raises(MismatchError, match=message) as error:
        load_from(path, recognizer())
    assert str(error.value).startswith(f'{path}: ')
    assert '\n' not in str(error.value)


def test_everything_unexpected_is_listed_and_can_be_allowed(official, load_from, save):
    file = dict(official['state_dict'])
    file['extra'], file['layers.0.mixer.D'] = torch.ones(1), torch.ones(7)
    del file['norm_f.weight'], file['layers.1.norm.weight']
    path = save(file)
    with pytest.raises(MismatchError) as error:
        load_from(path, recognizer())
    for name in ('extra', 'mixer.D (7,)', 'norm_f.weight', 'layers.1.norm.weight'):
        assert name in str(error.value)
    assert 'AdaptCheckpointHook' in str(error.value)

    hook = dict(type='AdaptCheckpointHook', strict=False)
    model = load_from(path, recognizer(), hook).model
    torch.testing.assert_close(
        model.cls_head.fc_cls.weight.data, file['head.weight'], rtol=0, atol=0
    )
    assert torch.equal(model.backbone.layers[0].mixer.D, torch.ones(48))
    _, report = adapt(file, build(), strict=False)
    assert set(report.fresh) == {
        'backbone.norm_f.weight',
        'backbone.layers.1.norm.weight',
        'backbone.layers.0.mixer.D',
    }
    assert set(report.unused) == {'extra', 'layers.0.mixer.D'}


def test_another_architecture_is_refused(official, save):
    model = build(arch=dict(embed_dims=32, depth=4))
    with pytest.raises(MismatchError) as error:
        load_checkpoint(model, save(official['state_dict']))
    message = str(error.value)
    assert '2 layers of 24 channels against 4 layers of 32 channels' in message
    assert 'layers.{2-3}.norm.weight' in message
    with pytest.raises(MismatchError, match='nothing in the checkpoint fits'):
        adapt(official['state_dict'], model, strict=False)


@pytest.mark.parametrize(
    'content', [dict(epoch=3), dict(model={}), dict(state_dict=dict(a='b'))]
)
def test_file_without_weights(save, content):
    with pytest.raises(MismatchError, match=r'empty\.pth: there are no weights'):
        load_checkpoint(build(), save(content, 'empty.pth'))


def test_files_that_can_not_be_read(official, load_from, tmp_path, save, serve):
    file = save(official['state_dict'])
    with open(file, 'r+b') as damaged:
        damaged.truncate(20_000)
    for source in (file, serve('official.pth')):
        with pytest.raises(CheckpointError, match=r'official\.pth .*damaged'):
            load_from(source, recognizer())
    save(dict(model=official['state_dict'], extra=print), 'unsafe.pth')
    for source in (str(tmp_path / 'unsafe.pth'), serve('unsafe.pth')):
        with pytest.raises(CheckpointError, match=r'unsafe\.pth was refused'):
            load_from(source, recognizer())
    with pytest.raises(CheckpointError, match=r'absent\.pth cannot be downloaded.*404'):
        load_from(serve('absent.pth'), recognizer())


# --- VideoMAE ----------------------------------------------------------------------


def videomae(**backbone):
    config = dict(
        type='VisionTransformer', img_size=32, embed_dims=24, depth=2, num_heads=2,
        num_frames=4,
    )  # fmt: skip
    head = dict(type='TimeSformerHead', num_classes=5, in_channels=24)
    return dict(type='Recognizer3D', backbone={**config, **backbone}, cls_head=head)


@pytest.fixture
def videomae_model():
    model = MODELS.build(videomae()).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def as_videomae_file(model):
    """Names in MCG-NJU/VideoMAE, modeling_finetune.py; its table is not a parameter."""
    file = {}
    for name, value in model.named_parameters():
        parts = name.split('.')
        if parts[0] == 'cls_head':
            key = f'head.{parts[-1]}'
        elif 'projection' in parts:
            key = f'patch_embed.proj.{parts[-1]}'
        elif 'mlp' in parts:
            layer = 'fc1' if parts[5:7] == ['0', '0'] else 'fc2'
            key = f'blocks.{parts[2]}.mlp.{layer}.{parts[-1]}'
        else:
            key = name.removeprefix('backbone.')
        file[key] = value.detach().clone()
    return file


@pytest.mark.parametrize('wrapper', ['model', 'module'])
def test_videomae_fine_tuned(videomae_model, load_from, save, wrapper):
    file = save({wrapper: as_videomae_file(videomae_model), 'args': Namespace()})
    model = load_from(file, videomae()).model
    clips = torch.randn(2, 3, 4, 32, 32)
    torch.testing.assert_close(logits(model, clips), logits(videomae_model, clips))


def test_videomae_pretrained(videomae_model):
    """Names in modeling_pretrain.py: an encoder with a norm, and a decoder."""
    tuned = as_videomae_file(videomae_model)
    file = {
        f'encoder.{k}': v
        for k, v in tuned.items()
        if not k.startswith(('fc_norm', 'head'))
    }
    decoder = ['encoder_to_decoder.weight', 'mask_token', 'decoder.norm.weight',
               'decoder.blocks.0.mlp.fc1.weight', 'encoder.norm.weight',
               'encoder.norm.bias']  # fmt: skip
    file.update({key: torch.randn(24) for key in decoder})
    model = MODELS.build(videomae(num_frames=8))
    state_dict, report = adapt(dict(model=file), model)
    assert set(report.unused) == set(decoder)
    assert set(report.fresh) == {
        'backbone.fc_norm.weight', 'backbone.fc_norm.bias',
        'cls_head.fc_cls.weight', 'cls_head.fc_cls.bias',
    }  # fmt: skip
    assert report.adapted == {'backbone.pos_embed': 'fixed, computed by the model'}
    model.load_state_dict(state_dict)
    tuned_clip = torch.randn(1, 3, 2, 32, 32)
    for block in (0, 1):
        old = videomae_model.backbone.blocks[block]
        new = model.backbone.blocks[block].eval()
        x = torch.randn(1, 3, 24)
        torch.testing.assert_close(new(x), old(x))
    old, new = videomae_model.backbone.patch_embed, model.backbone.patch_embed
    torch.testing.assert_close(new(tuned_clip)[0], old(tuned_clip)[0])


# --- converting --------------------------------------------------------------------


def test_round_trip_to_the_official_keys(golden, save, tmp_path):
    for name in GOLDEN:
        file = golden(name)['state_dict']
        config = recognizer(**GOLDEN[name])
        source = save(file, 'source.pth')
        ours, back = str(tmp_path / 'ours.pth'), str(tmp_path / 'back.pth')
        convert(source, ours, config)
        model = MODELS.build(config)
        content = torch.load(ours, weights_only=True)
        assert content['state_dict'].keys() == model.state_dict().keys()
        convert(ours, back, config, official=True)
        result = torch.load(back, weights_only=True)['model']
        assert result.keys() == file.keys()
        for key, value in file.items():
            assert torch.equal(result[key], value)


def test_videomae_round_trip(videomae_model, save, tmp_path):
    file = as_videomae_file(videomae_model)
    source, back = save(dict(module=file)), str(tmp_path / 'back.pth')
    convert(source, back, videomae(), official=True)
    result = torch.load(back, weights_only=True)['model']
    assert result.keys() == file.keys()
    assert all(torch.equal(result[key], value) for key, value in file.items())


def test_names_of_classes_go_along(official, save, tmp_path):
    """With the head that they are of."""
    config, ours = recognizer(), str(tmp_path / 'ours.pth')
    source = save(of_classes(official['state_dict'], LETTERS))

    def names(**options):
        convert(source, ours, config, **options)
        meta = torch.load(ours, weights_only=True)['meta']
        return meta.get('dataset_meta', {}).get('classes')

    assert names() == tuple(LETTERS)
    for side, letters in dict(file=LETTERS, model=LETTERS[::-1]).items():
        (tmp_path / side).write_text('\n'.join(letters))
    label_map = (tmp_path / 'file', tmp_path / 'model')
    assert names(label_map=label_map) == tuple(LETTERS[::-1])
    config = recognizer(num_classes=3)
    assert names() is None


def test_random_heads_are_not_written(official, save, tmp_path):
    """A converted image checkpoint loads again, with a fresh head."""
    source = save(as_image_file(official['state_dict']))
    config, ours = recognizer(num_classes=7, num_frames=8), str(tmp_path / 'ours.pth')
    convert(source, ours, config, inflate='mean')
    content = torch.load(ours, weights_only=True)
    assert not any('cls_head' in key for key in content['state_dict'])
    assert content['state_dict']['backbone.temporal_pos_embedding'].shape[1] == 8
    _, report = adapt(content, MODELS.build(config))
    assert set(report.fresh) == {'cls_head.fc_cls.weight', 'cls_head.fc_cls.bias'}


def test_wrong_prefix_is_reported(tmp_path):
    """With those that there are."""
    path = str(tmp_path / 'some.pth')
    state = {'target.module.x': torch.zeros(1), 'backbone.x': torch.zeros(1)}
    torch.save(dict(state_dict=state), path)
    init_cfg = dict(type='Pretrained', checkpoint=path, prefix='encoder.')
    model = MODELS.build(
        dict(type='VideoMamba', arch=dict(embed_dims=8, depth=1), init_cfg=init_cfg)
    )
    message = r"some\.pth has no weights .* 'encoder\.', only with backbone\., target\."
    with pytest.raises(CheckpointError, match=message):
        model.init_weights()
