from mmaction_videomambapro import diagnosis
from mmaction_videomambapro.compat import PATCHES
from mmaction_videomambapro.literals import markdown_text
from tests.conftest import ROOT


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
    for patch in PATCHES:
        assert patch.symptom in page
        # one patch takes a library that need not be there
        optional = patch.module == 'mmaction.utils.dependency'
        assert patch.state == 'patched' or (optional and patch.state == 'absent')


def test_docs_list_all_patches():
    diagnosis.page()  # imports all modules that declare patches
    modules = {}
    for patch in PATCHES:
        facts = patch.symptom, patch.until, patch.issue
        modules.setdefault(facts, []).append(f'`{patch.module}`')
    rows = sorted(
        ' | '.join(['<br>'.join(names), *map(markdown_text, facts)])
        for facts, names in modules.items()
    )
    table = '\n'.join(f'| {row} |' for row in rows)
    assert table in (ROOT / 'docs' / 'patches.md').read_text()


def test_forced_nonsense_is_reported(monkeypatch):
    monkeypatch.setenv('MMACTION_VIDEOMAMBAPRO_SCAN', 'cuda')
    assert 'is not a scan backend' in diagnosis.page()
