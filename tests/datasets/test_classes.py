"""Files with class names."""

import os
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmaction_videomambapro.datasets.classes import (
    classes_text,
    label_numbers,
    read_classes,
)
from mmaction_videomambapro.datasets.lists import ListError


@pytest.mark.parametrize(
    ('name', 'text', 'expected'),
    [
        ('plain.txt', 'pour\nstir tea\n', ['pour', 'stir tea']),
        ('plain.txt', '#1 pour\r\n lead\r\n\r\n', ['#1 pour', ' lead']),
        ('plain.txt', '1 pour\n2 stir', ['1 pour', '2 stir']),
        ('plain.txt', "$'two\\nlines'\n", ['two\nlines']),
        ('classInd.txt', '1 Archery\n2 Ballet Bar\n', ['Archery', 'Ballet Bar']),
        ('labels.json', '{"Holding something": "1", "Zoom": "0"}',
         ['Zoom', 'Holding something']),
        ('names.json', '["a", "b"]', ['a', 'b']),
        ('id2label.json', '{"1": "b", "0": "a"}', ['a', 'b']),
        ('k400.csv', 'id,name\n0,abseiling\n1,"a, b"\n', ['abseiling', 'a, b']),
    ],
)  # fmt: skip
def test_files_of_names(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text, newline='')
    assert read_classes(tmp_path / name) == expected


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('plain.txt', 'a\n\nb\n', 'line 2 is blank'),
        ('plain.txt', '\n', 'no class names'),
        ('labels.json', '{"a": "0", "b": "7"}', 'without gaps'),
        ('labels.json', '{"a": "0", "b": "0"}', 'without gaps'),
        ('labels.json', '[' * 100_000, 'damaged'),
        ('labels.json', '"a"', 'expected a JSON object'),
        ('classInd.txt', 'ApplyEyeMakeup\n', 'not a number and a name'),
    ],
)
def test_files_without_class_names(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ListError, match=message):
        read_classes(tmp_path / name)


names = st.binary(min_size=1, max_size=9).filter(lambda x: 0 not in x).map(os.fsdecode)
names |= st.text(' ab1$\'"\\\n\r\t#é\u2028\ufeff', min_size=1, max_size=9)


@settings(max_examples=300)
@given(st.lists(names, min_size=1, max_size=4))
def test_every_name_of_a_folder(folder, names):
    path = folder / 'classes.txt'
    path.write_text(classes_text(names))
    assert read_classes(path) == names


@given(
    name=st.sampled_from(['names.txt', 'classInd.txt', 'labels.json']),
    head=st.sampled_from(['', 'id,name\n', '{"a": ', '["a", ', '1 a\n']),
    tail=st.text('01a,"[]{}:\n\r\0$\\\' \ud800', max_size=20),
)
def test_any_text_names_classes_or_is_refused(folder, name, head, tail):
    path = folder / name
    path.write_bytes((head + tail).encode('utf-8', 'surrogatepass'))
    with suppress(ListError):
        assert all(isinstance(x, str) for x in read_classes(path))


def test_numbers_of_names(tmp_path):
    assert label_numbers(['1 pour', '2 stir']) == {
        '1 pour': 0, '2 stir': 1, 'pour': 0, 'stir': 1
    }  # fmt: skip
    assert label_numbers([' pour', '2']) == {' pour': 0, 'pour': 0, '2': 1}
    with pytest.raises(ListError, match="classes 0 and 2 are both named 'a'"):
        label_numbers(['a', 'b', 'a'])
    with pytest.raises(ListError, match='cannot be read'):
        label_numbers(tmp_path / 'gone.txt')
