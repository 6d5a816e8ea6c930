import random

from tests.fuzz.lists import fuzz


def test_changed_lists_are_read_back_or_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = fuzz(random.Random(0), lambda number: number < 2000)
    assert sum(count for what, count in counts.items() if 'read' in what) > 400
