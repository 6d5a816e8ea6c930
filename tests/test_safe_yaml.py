import resource

import pytest
import yaml

from mmaction_videomambapro.safe_yaml import YamlError, read_yaml
from tests.conftest import ROOT

pytestmark = pytest.mark.base


@pytest.fixture
def read(tmp_path):
    def read(text, *args):
        path = tmp_path / 'file.yml'
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_yaml(path, *args)

    return read


def test_files_of_the_zoo_are_read_as_pyyaml_does():
    for path in ROOT.glob('configs/**/*.yml'):
        assert read_yaml(path) == yaml.safe_load(path.read_text())


def test_plain_values(read):
    text = (
        '\ufeffa: &a {x: [1, -2.5, true, null, "1"]}\nb: {<<: *a, y: *a}\n'
        'date: 2024-13-45\nc: !!str 5\n'
    )
    x = [1, -2.5, True, None, '1']
    assert read(text) == dict(
        a=dict(x=x), b=dict(x=x, y=dict(x=x)), date='2024-13-45', c='5'
    )
    assert read('') is None
    assert read('"\\udcff"') == '\udcff'


BOMB = 'a: &a [x, x, x, x, x, x, x, x, x]\n' + ''.join(
    f'{b}: &{b} [{", ".join([f"*{a}"] * 9)}]\n' for a, b in zip('abcdefg', 'bcdefgh')
)


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('[' * 100_000, 'line 1: more than 32 levels'),
        ('a:\n  b: ' + '{c: ' * 50, 'line 2: more than 32 levels'),
        ('a: 1\nb: ' + '9' * 5000, r"line 2: '9+'\.\.\. is not an integer of at"),
        ('a: 0x' + 'f' * 5000, 'is not an integer of at most 64 bits'),
        ('a: 9223372036854775808', 'is not an integer of at most 64 bits'),
        ('a: 1:' + '30:' * 100 + '1', 'is not an integer of at most 64 bits'),
        ('a: !!int abc', "line 1: 'abc' is not an integer"),
        ('a: !!int ""', "'' is not an integer"),
        ('a: 0b_', "'0b_' is not an integer"),
        ('a: !!float .', 'is not a finite number'),
        ('a: !!bool maybe', "'maybe' is not true or false"),
        ('a: [1,\n -.inf]', "line 2: '-.inf' is not a finite number"),
        ('a: .nan', "'.nan' is not a finite number"),
        ('a: 1.0e+400', "'1.0e.400' is not a finite number"),
        (BOMB, 'line 6: it is too large, with its aliases'),
        ('a: &a [*a]', 'line 1: it contains itself'),
        ('a: *b', "undefined alias 'b'"),
        ('a: 1\nb: 2\na: 3', "line 3: the key 'a' appears twice"),
        ('1: 2', "the key '1' is not a string: quote it"),
        ('? [a]\n: 2', 'the key a collection is not a string'),
        ('a: !!python/object/apply:os.mkdir [x]', 'the tag !!python/object/apply:os'),
        ('a: !!binary aGk=', 'the tag !!binary is not allowed'),
        ('!!set {a}', 'the tag !!set is not allowed'),
        ('a: !b c', 'the tag !b is not allowed'),
        ('!!map x', 'it is not a mapping'),
        ('a: b: c', 'mapping values are not allowed here'),
        ('a: "b', 'unexpected end of stream'),
        ('a: 1\n---\nb: 1', 'line 2: expected a single document'),
        ('a: "\\UFFFFFFFF"', 'names a character out of range'),
        ('a: "\\ud800"', 'is not a string'),
        ('a: 1\nb: \x01', r"line 2: the character '\\x01' is not allowed"),
        (b'a: 1\nb: \xff', 'line 2: it is not UTF-8 text'),
        ('#' * 1_000_001, 'more than 1,000,000 bytes'),
    ],
    ids=range(33),
)
def test_anything_else_is_refused_with_its_line(read, text, reason):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(YamlError, match=rf'file\.yml cannot be read: .*{reason}') as e:
        read(text)
    assert '\n' not in str(e.value)
    assert len(str(e.value)) < 500
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


SHAPE = {'a': [int], 'b': ({'c': str, ...: float}, None)}


def test_shapes(read):
    for text in ('{a: [1, 2], b: null, z: 3}', '{b: {c: x, d: 1.5}}', '{}'):
        read(text, SHAPE)
    for text, reason in {
        '[1]': 'it is not a mapping',
        'a: 1': 'a is not a list',
        'a: [1, x]': r'a\.1 is not an integer',
        'b: {c: null}': r'b\.c is not a string',
        'b: [1]': 'b is not a mapping',
    }.items():
        with pytest.raises(YamlError, match=f'cannot be read: {reason}'):
            read(text, SHAPE)
