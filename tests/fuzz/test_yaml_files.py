import random

from tests.fuzz.yaml_files import fuzz


def test_changed_files_are_read_or_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = fuzz(random.Random(0), lambda number: number < 200)
    assert sum(counts.values()) == 200
    assert sum(count for what, count in counts.items() if 'read' in what) > 10
