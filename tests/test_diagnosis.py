from mmaction_videomambapro import diagnosis
from mmaction_videomambapro.compat import FAULTS


def test_page_has_what_a_bug_report_needs(monkeypatch):
    monkeypatch.setattr(diagnosis, 'decord_clash', lambda: 'decord and decord2')
    page = diagnosis.page()
    for word in (
        'torch',
        'mmaction2',
        'cpu',
        'llvm',
        'chunked',
        'naive',
        'decord',
        'CLASH',
    ):
        assert word in page
    assert 'NOT IMPORTABLE' not in page
    for fault in FAULTS:
        assert fault.symptom in page
        # one fault takes a library that need not be there
        optional = fault.module == 'mmaction.utils.dependency'
        assert fault.state == 'mended' or (optional and fault.state == 'absent')


def test_forced_nonsense_is_reported(monkeypatch):
    monkeypatch.setenv('MMACTION_VIDEOMAMBAPRO_SCAN', 'cuda')
    assert 'names no scan backend' in diagnosis.page()
