"""Pictures and tables of logs."""

from mmaction_videomambapro.evaluation.logs import read_scalars
from mmaction_videomambapro.visualization.curves import (
    draw_curves,
    draw_pretraining,
    write_tables,
)
from tests.evaluation.logs import line, log, log_run


def test_pictures_and_tables_of_a_damaged_log(tmp_path):
    log(tmp_path, '1', line(1, loss=2.0, lr=0.1, epoch=1) + b'\n{"loss": 0.5, "st')
    draw_pretraining(tmp_path, tmp_path / 'pretraining.png')
    draw_curves(tmp_path, tmp_path / 'curves.png')
    write_tables(tmp_path, tmp_path)
    assert len((tmp_path / 'train.csv').read_text().splitlines()) == 2
    log(tmp_path, '2', b'{"lo')
    read_scalars(tmp_path)


def test_the_rate_is_the_base_rate(tmp_path, monkeypatch):
    log_run(tmp_path, '1', range(1, 5), 0.1)
    drawn = []
    monkeypatch.setattr(
        'mmaction_videomambapro.visualization.curves.save',
        lambda figure, out: drawn.append(figure),
    )
    draw_curves(tmp_path, 'unused.png')
    lines = {x.get_label(): x for axes in drawn[0].axes for x in axes.lines}
    assert set(lines['learning rate'].get_ydata()) == {1e-3}
