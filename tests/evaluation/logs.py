"""Logs as runs write them."""

import json


def log(folder, run, content):
    path = folder / run / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_bytes(content)


def line(step, **scalars):
    return json.dumps(dict(step=step, **scalars)).encode()


def log_run(work_dir, name, steps, loss, val=()):
    """A run that logged every iteration, of 10 iterations per epoch."""
    folder = work_dir / name / 'vis_data'
    folder.mkdir(parents=True)
    rows = [
        dict(step=s, epoch=(s - 1) // 10 + 1, loss=loss, lr=1e-9, base_lr=1e-3)
        for s in steps
    ]
    rows += [{'step': epoch, 'acc/top1': loss} for epoch in val]
    (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, rows)))
