import os
import stat

import pytest

from mmaction_videomambapro.files import replacing


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / 'folder' / 'file.txt'
    with replacing(path) as file:
        file.write('whole\n')
    with pytest.raises(TypeError), replacing(path) as file:
        file.writelines(['ha', None])
    assert path.read_text() == 'whole\n'
    assert os.listdir(path.parent) == ['file.txt']


def test_bytes_under_a_relative_name_with_usual_rights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with replacing('file.bin', 'wb') as file:
        file.write(b'\0')
    (tmp_path / 'usual').touch()
    assert (tmp_path / 'file.bin').read_bytes() == b'\0'
    usual, made = (os.stat(x).st_mode for x in ('usual', 'file.bin'))
    assert stat.S_IMODE(usual) == stat.S_IMODE(made)
