"""Counting from the command line."""

NAME = 'videomamba-tiny-p16_in1k-pre_8xb64-u16-70e_kinetics400-rgb'
LEAF = f'configs/recognition/videomamba/{NAME}.py'


def test_both_countings(tool):
    out = tool('analysis/get_flops.py', LEAF).stdout
    assert 'inputs         1 x 3 x 16 x 224 x 224' in out
    assert 'parameters     7.04 M (7035280)' in out
    assert 'projections  17.11 G' in out  # the paper prints 17
    eight = tool('analysis/get_flops.py', LEAF, '--shape', 1, 3, 8, 224, 224).stdout
    assert 'projections  8.56 G' in eight


def test_wrong_shape_is_one_line(tool):
    process = tool('analysis/get_flops.py', LEAF, '--shape', 3, 8, check=False)
    assert process.returncode == 2
    assert 'with inputs (3, 8)' in process.stderr
    assert 'Traceback' not in process.stderr
