"""Whatever is written is read back unchanged, and none of it is executed."""

import csv
import io
import json
import logging
import os
import re
import shlex
import subprocess
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.logging.logger import MMFormatter

from mmaction_videomambapro.apis.submit import make_executor
from mmaction_videomambapro.apis.vjepa_yaml import convert_experiment, write_config
from mmaction_videomambapro.configs import read_config
from mmaction_videomambapro.datasets.own_config import own_config
from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.files import replacing
from mmaction_videomambapro.literals import (
    csv_cell,
    markdown_link,
    markdown_text,
    printable,
    python_assignments,
    python_comment,
    python_literal,
    read_assignments,
)
from mmaction_videomambapro.safe_yaml import read_yaml
from mmaction_videomambapro.visualization.pictures import save
from mmaction_videomambapro.zoo.metafiles import _dump
from mmaction_videomambapro.zoo.tables import table as markdown_table
from tests.apis.test_vjepa_yaml import PRETRAINING
from tests.conftest import ROOT

CODE = '__import__("os").mkdir("ran")'
HOSTILE = [
    f'{{{{$X:{CODE}}}}}',
    f"{{{{$X:'+str({CODE})+'}}}}",
    f'{{{{$X:"+str({CODE})+"}}}}',
    f'{{{{$HOME:"+str({CODE})+"}}}}',
    f'{{{{$X:\\n{CODE.replace(" ", "")}}}}}',
    f"{{{{'$X:{CODE}'}}}}",
    '{{ fileDirname }}',
    '{{_base_.model}}',
    '{{{{{',
    '{',
    f"'+{CODE}+'",
    f"'''\n{CODE}\n'''",
    f'$({CODE})`touch ran`',
    '; mkdir ran; #',
    '$HOME %s %(x)s {0} ${x}',
    '_base_',
    '_delete_',
    'class',
    'None',
    '\\',
    '\\x7b\\N{COLON}',
    '# -*- coding: utf-7 -*-',
    '\r\n---\n- a: !!python/object/apply:os.mkdir [ran]',
    '<!-- zoo:end --><script>alert(1)</script>',
    '| a | b |',
    '[x](javascript:alert(1))',
    '![x](http://x.org)',
    'http://x.org www.x.org a@x.org',
    '__x__ *y* `z` ~~u~~ &lt; $v$ #1',
    '=cmd|"/c calc"!A1',
    "'=1",
    '-1',
    '\x1b]0;x\x07\x9b31m',
    '\u202e\u2028\x85\ufeff\xa0',
    ' a  b ',
    '2024-13-45',
    '1e3',
    'null',
    '\udcff\udc80',
    '视频 клип é',
    'ﬁ',
]
FRAGMENTS = st.one_of(
    st.sampled_from(HOSTILE), st.text(st.sampled_from('{}$:\'"\\ \n\t|`[]()<>&_*=-+#'))
)
# as file systems allow them: any bytes but zero
TEXTS = st.lists(
    FRAGMENTS
    | st.binary(max_size=4).map(lambda x: os.fsdecode(x.replace(b'\0', b'\1'))),
    min_size=1,
    max_size=4,
).map(''.join)
NAMES = TEXTS.map(lambda x: x.replace('/', '-')[:60].strip('.') or 'x').filter(
    lambda x: len(os.fsencode(x)) < 200
)
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(TEXTS, inner, max_size=3)
    ),
    max_leaves=8,
)
few = settings(
    max_examples=30,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
fewer = settings(few, max_examples=8)


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not os.path.exists('ran')


def written(text, name='config.py'):
    with replacing(name) as file:
        file.write(text)
    return name


@few
@given(st.dictionaries(TEXTS.filter(lambda x: x[:2] != '__'), VALUES, max_size=3))
def test_configs(values):
    values.pop('_base_', None)
    comment = python_comment(' '.join(values))
    assert '\n' not in comment
    text = f'{comment}\n{python_assignments(values)}'
    assert '{{' not in text
    assert read_assignments(text) == values
    read = Config.fromfile(written(text))
    assert read.to_dict() == Config(values).to_dict()
    read.dump('again.py')
    again = Config.fromfile('again.py')
    assert again.to_dict() == read.to_dict()
    assert again.pretty_text == read.pretty_text


@pytest.mark.parametrize('text', [
    '{"a": 1}', 'a = b', 'a = open("ran", "w")', 'a.b = 1', 'a, b = 1, 2', 'a = b = 1',
    'import os', 'a = f"{1}"', 'a = 1 + 1', 'a = dict(**{})', 'a = {**{}}', 'a = [*()]',
    'a = {[]: 1}', 'a = {[]}', 'a = float("x")', 'a = float(open("ran"))', 'a += 1',
    'a = ...', 'a = (' + '(' * 5000, 'a = ' + '-' * 50000 + '1', 'a = -"x"', 'a: int',
    'globals()[b] = 1', 'dict()["a"] = 1', '\0', 'def a(): pass',
])  # fmt: skip
def test_what_is_not_a_value_is_refused(text):
    with pytest.raises(ValueError, match=r'line \d|not Python|null bytes'):
        read_assignments(text)


def test_every_text_at_every_place_of_a_config():
    values = {'a': HOSTILE, 'b': tuple(HOSTILE), 'c': {x: {x: x} for x in HOSTILE}}
    values.update((x, x) for x in HOSTILE if x != '_base_' and x[:2] != '__')
    Config(values).dump('config.py')
    assert '{{' not in Path('config.py').read_text()
    assert Config.fromfile('config.py').to_dict() == Config(values).to_dict()


@pytest.mark.parametrize(
    'value',
    [
        float('inf'), -float('inf'), range(3), {1, 2}, set(), b'{{', (1,), (), [[]],
        {True: 1, None: 2, 3: 4}, {'a-b': {'lambda': 1}}, [10**5000, -(10**5000)],
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_configs_hold_values_of_every_kind(value):
    read = Config.fromfile(written(f'a = {python_literal(value)}'))
    assert read.a == value
    assert type(read.a) is type(value) or isinstance(value, dict)
    read.dump('again.py')
    assert Config.fromfile('again.py').a == value


def test_not_a_number_and_other_objects_can_be_read():
    read = Config.fromfile(
        written(python_assignments(dict(a=float('nan'), b=Path('c'))))
    )
    assert read.a != read.a
    assert read.b == 'c'


def test_saved_configs_look_as_mmengine_writes_them():
    cfg = Config(dict(b=[dict(type='A', x=(1, 2))], a=dict(c=None, b='d' * 70)))
    assert cfg.pretty_text == (
        f"a = dict(\n    b='{'d' * 70}',\n    c=None)\n"
        "b = [\n    dict(type='A', x=(\n        1,\n        2,\n    )),\n]\n"
    )


def test_values_that_mmengine_would_replace_are_not_saved_as_json():
    with pytest.raises(ValueError, match=r'a\.json would change when it is read'):
        Config(dict(a='{{$X:1}}')).dump('a.json')
    Config(dict(a='{$X:1}')).dump('a.json')
    assert Config.fromfile('a.json').a == '{$X:1}'


@pytest.mark.parametrize('folder', ["x'+y+'", '{{$X:y}}', 'x\ny'])
def test_paths_that_mmengine_would_run_are_refused(folder):
    os.mkdir(folder)
    config = written('a = 1\n', f'{folder}/config.py')
    assert read_config(config).a == 1
    written("work_dir = '{{ fileDirname }}'\n", config)
    with pytest.raises(UsageError, match='rename the file or its folder'):
        read_config(config)
    assert read_config(written("a = '{{ fileBasename }}'\n")).a == 'config.py'


def test_yaml_that_mmengine_reads_runs_nothing():
    config = written('a: !!python/object/apply:os.mkdir [ran]\n', 'config.yml')
    with pytest.raises(UsageError, match='python/object/apply'):
        read_config(config)
    Config(dict(a=(1, 2), b=[3])).dump(config)
    assert read_config(config).to_dict() == dict(a=(1, 2), b=[3])


BASE = """
model = dict(cls_head=dict(num_classes=2), data_preprocessor=dict(mean=0))
train_dataloader = dict(dataset=dict(type='VideoClsDataset', ann_file=''))
val_dataloader = test_dataloader = train_dataloader
"""


@fewer
@given(NAMES, NAMES, NAMES)
@example(*(x.replace('/', '-') for x in HOSTILE[:3]))
def test_configs_of_folders(base, source, lists):
    folder = base.replace('::', ':')
    os.makedirs(folder, exist_ok=True)
    base = written(BASE, f'{folder}/{base[:40].replace("::", ":")}.py')
    names = [source, lists, base]
    read = Config.fromfile(written(own_config(base, source, lists, names)))
    dataset = read.val_dataloader.dataset
    assert dataset.ann_file == os.path.abspath(os.path.join(lists, 'val.txt'))
    assert dataset.data_prefix.video == os.path.abspath(source)
    assert dataset.metainfo.classes == names
    assert read.model.cls_head.num_classes == 3


@settings(few, max_examples=4)
@given(NAMES, TEXTS)
def test_configs_of_experiments(name, value):
    experiment = yaml.safe_load(PRETRAINING)
    experiment['data']['datasets'] = [value, '/b.csv']
    experiment['logging']['folder'] = f'/{value}'
    written(_dump(experiment), f'{name}.yaml')
    written('default_scope = "mmaction"', 'base.py')
    write_config(f'{name}.yaml', 'config.py', 'base.py')
    read = Config.fromfile('config.py')
    assert read.work_dir == f'/{value}'
    assert read.train_dataloader.dataset.datasets[0].ann_file == value
    assert os.listdir('.').count('config.py') == 1
    text, _ = convert_experiment(experiment, name, base=name)
    assert '{{' not in text


@few
@given(VALUES)
def test_metafiles(value):
    content = {'a': json.loads(json.dumps(value).replace('Infinity', '1'))}
    with_bounded_integers = json.loads(
        json.dumps(content), parse_int=lambda x: int(x[:9])
    )
    read = read_yaml(written(_dump(with_bounded_integers), 'metafile.yml'))
    assert read == with_bounded_integers


def cells(html):
    return [
        unescape(re.sub('</?a[^>]*>', '', cell))
        for cell in re.findall('<td>(.*?)</td>', html, re.DOTALL)
    ]


@few
@given(TEXTS, TEXTS, NAMES)
def test_tables(one, two, target):
    page = MarkdownIt('gfm-like', {'html': True, 'linkify': False}).enable('table')
    table = markdown_table(['a', 'b', 'c'], [[one, two, one + two], [1, 2, 3]])
    html = page.render(table)
    assert cells(html) == [*map(printable, (one, two, one + two)), '1', '2', '3']
    assert set(re.findall('<(\\w+)', html)) <= {
        'table',
        'thead',
        'tbody',
        'tr',
        'th',
        'td',
    }
    html = page.render(f'# {markdown_text(one)}')
    assert unescape(html).strip() == f'<h1>{printable(one)}</h1>'
    html = page.render(markdown_link(one, target))
    (link,) = re.findall('href="(.*?)"', html)
    path = os.fsdecode(unquote(unescape(link), errors='surrogateescape'))
    # as files are named: two of Python's stand-ins may be the bytes of one character
    assert os.fsencode(path) == os.fsencode(re.sub('^/+', '/', target))
    assert ':' not in link


def test_links_of_the_web_stay():
    url = 'https://x.org/a%20b?c=d&e=f#g'
    assert markdown_link('x', url) == f'[x]({url})'
    assert '(https://x.org/%29%20%3Cb%3E)' in markdown_link('x', 'https://x.org/) <b>')


@few
@given(st.lists(TEXTS, min_size=1))
def test_reports(texts):
    file = io.StringIO(newline='')
    csv.writer(file).writerow(map(csv_cell, texts))
    (row,) = csv.reader(io.StringIO(file.getvalue(), newline=''))
    assert not any(cell.startswith(('=', '+', '-', '@', '\t', '\r')) for cell in row)
    assert [x[1:] if x.startswith("'") else x for x in row] == texts
    assert csv_cell(-1) == -1


@few
@given(TEXTS)
def test_logs(text):
    record = logging.LogRecord('x', logging.INFO, 'x', 1, '%s', (text,), None)
    line = MMFormatter(color=False).format(record)
    assert line.replace('\n', '').replace('\t', '').isprintable()
    assert record.getMessage() == text


def test_pictures():
    figure = Figure()
    axes = figure.subplots()
    for text in HOSTILE:
        axes.plot([0, 1], label=text)
        axes.text(0, 0, text)
    axes.set_title(r'$\nonsense{$')
    save(figure, 'picture.png')
    assert Path('picture.png').stat().st_size > 1000
    with pytest.raises(UsageError, match=r'picture\.mp4: no pictures of this kind'):
        save(figure, 'picture.mp4')


@pytest.mark.parametrize(
    ('script', 'count'),
    [('dist_train', 1), ('dist_test', 2), ('slurm_train', 1), ('slurm_test', 2)],
)
def test_job_scripts(script, count):
    for name in ('srun', 'fake python'):
        Path(name).write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
        Path(name).chmod(0o755)
    hostile = [x for x in HOSTILE if x.isprintable()]
    first, rest = hostile[:count], hostile[count:]
    fixed = [*hostile[:2], *first] if 'slurm' in script else [*first, '2']
    process = subprocess.run(
        ['bash', ROOT / f'tools/{script}.sh', *fixed, *rest],
        env={
            **os.environ,
            'PATH': f'.:{os.environ["PATH"]}',
            'PYTHON': './fake python',
        },
        capture_output=True,
        check=True,
    )
    arguments = process.stdout.decode().split('\0')[:-1]
    assert arguments[-len(rest) :] == rest
    at = arguments.index('--launcher')
    assert arguments[at - count : at] == first
    if 'slurm' in script:
        assert f'--job-name={hostile[1]}' in arguments


def test_job_scripts_of_submitit():
    with pytest.raises(UsageError, match=r'--partition .*control characters'):
        make_executor('local', 'logs', 'x', partition='a\nmkdir ran\n#')
    with pytest.raises(UsageError, match='--folder'):
        make_executor('local', 'logs\nmkdir ran', 'x')
    from submitit.slurm.slurm import _make_sbatch_string

    executor = make_executor('local', 'logs', 'x\nmkdir ran\n#')
    name = executor._executor.parameters.get('name') or executor.parameters['name']
    script = _make_sbatch_string('true', Path('logs'), job_name=name)
    lines = [line for line in script.splitlines() if 'mkdir' in line]
    assert lines == [f'#SBATCH --job-name={shlex.quote(printable(name))}']
