"""Runs are compared by their logs."""

import json


def log(work_dir, name, *lines):
    path = work_dir / name / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(map(json.dumps, lines)))


def test_last_accuracy_of_each(tool, tmp_path):
    """The log of the latest run in a directory."""
    loss, middle = dict(step=4, loss=0.9), {'step': 2, 'acc/top1': 0.75}
    log(tmp_path / 'one', '2026_01', loss, middle, {'step': 9, 'acc/top1': 0.125})
    log(tmp_path / 'one', '2026_02', {'step': 9, 'acc/top1': 0.5})
    log(tmp_path / 'two', '2026_01', {'step': 3, 'acc/top1': 0.25})
    out = tmp_path / 'comparison.png'
    work_dirs = [str(tmp_path / 'one'), str(tmp_path / 'two')]
    process = tool('analysis/compare_runs.py', *work_dirs, '--out', out)
    assert process.stdout.splitlines() == [
        f'comparison: {out}',
        f'top-1 0.500 {work_dirs[0]}',
        f'top-1 0.250 {work_dirs[1]}',
    ]
    assert out.stat().st_size > 10_000

    log(tmp_path / 'three', '2026_01', loss)
    process = tool('analysis/compare_runs.py', tmp_path / 'three', check=False)
    assert process.returncode == 2
    assert f'{tmp_path}/three: acc/top1 was never validated' in process.stderr
