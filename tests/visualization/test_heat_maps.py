"""Pictures and films of what speaks for a class."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from mmaction_videomambapro.datasets.videos import Video
from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.visualization import heat_maps
from mmaction_videomambapro.visualization.heat_maps import (
    check_ending,
    draw_heat_maps,
    film_heat_maps,
    paint,
    scaled,
)


@pytest.fixture
def drawn(monkeypatch):
    """The figure, and not the file, which takes longer."""
    figures: list[Figure] = []
    monkeypatch.setattr(heat_maps, 'save', lambda figure, out: figures.append(figure))
    return figures


def clip(length=8, height=24, width=32):
    """Frames that are as bright as their number."""
    return np.stack([np.full((height, width, 3), i, np.uint8) for i in range(length)])


def colours(image):
    """How much more red than blue is in the parts of an image, left and right."""
    image = image.astype(int)
    half = image.shape[1] // 2
    difference = image[..., 0] - image[..., 2]
    return difference[:, : half // 2].mean(), difference[:, half + half // 2 :].mean()


def test_red_is_for_blue_is_against_and_grey_is_neither():
    frame = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    left, right = colours(paint(frame, np.array([[1.0, -1.0]])))
    assert left > 80
    assert right < -80
    grey = paint(frame, np.zeros((2, 2)))
    assert np.ptp(grey, axis=-1).max() == 0  # no colour is left, but the frame is
    assert grey.std() > 10


def test_one_patch_does_not_hide_the_others():
    values = np.ones((4, 10, 10))
    values[0, 0, 0] = -4
    assert scaled(values)[1:].min() == 1
    assert not scaled(np.zeros((1, 2, 2))).any()


def test_what_is_small_beside_a_patch_stays_small():
    values = np.full((4, 20, 20), 1e-3)
    values[0, 0, 0] = -2
    assert scaled(values).min() <= -1
    assert scaled(values).max() < 0.01


def test_the_curve_is_the_sum_over_each_moment(drawn):
    values = np.random.default_rng(0).normal(size=(4, 3, 3))
    draw_heat_maps(clip(), {'map': values}, 'x.png', times=np.arange(8) / 10)
    frames, painted, curve, legend = drawn[0].axes
    assert len(frames.images) == len(painted.images) == 8
    np.testing.assert_allclose(curve.lines[0].get_ydata(), values.sum((1, 2)))
    middles = curve.lines[0].get_xdata()
    np.testing.assert_allclose(middles, [1, 3, 5, 7])
    assert [x.get_text() for x in curve.get_xticklabels()][-1] == '0:00.70'
    words = [x.get_text() for x in legend.get_yticklabels()]
    assert words == ['speaks for the class', 'no effect', 'speaks against it']
    # frames stand above their bars
    first, last = (painted.images[i].get_extent() for i in (0, -1))
    to_pixels = painted.transData.transform
    assert to_pixels((last[1], 0))[0] == pytest.approx(
        curve.transData.transform((8, 0))[0], abs=3
    )
    assert first[0] < 0.05


def test_without_values_below_0_nothing_is_said_of_them(drawn):
    draw_heat_maps(
        clip(), {'map': np.ones((4, 3, 3))}, 'x.png', words=('much used', 'not used')
    )
    legend = drawn[0].axes[-1]
    words = [x.get_text() for x in legend.get_yticklabels()]
    assert words == ['much used', 'not used']


def test_of_many_frames_those_that_decided_are_shown(drawn):
    values = np.full((32, 2, 2), 1e-3)
    values[[1, 30]] = 1, -1
    draw_heat_maps(clip(64), {'map': values}, 'x.png')
    frames = drawn[0].axes[0]
    shown = [int(image.get_array()[0, 0, 0]) for image in frames.images]
    assert len(shown) == 8
    assert shown == sorted(shown)
    assert shown[0] in (2, 3)
    assert shown[-1] in (60, 61)
    assert [x.get_text() for x in frames.texts[1:]] == [str(x + 1) for x in shown]


def test_each_layer_has_a_row_with_its_name(drawn):
    maps = {f'layer {i}': np.ones((1, 2, 2)) for i in range(3)}
    draw_heat_maps(clip(1), maps, 'x.png', title='$a$', note='b')
    names = [axis.texts[-1].get_text() for axis in drawn[0].axes[1:4]]
    assert names == list(maps)


def test_a_film_shows_the_clip_and_the_map_beside_it(tmp_path):
    out = tmp_path / 'a.mp4'
    values = np.zeros((4, 2, 2))
    values[3] = 1
    times = np.arange(8) / 25
    film_heat_maps(clip(8, 33, 47), values, out, 'Why “走”?', times)
    with Video(str(out)) as video:
        assert len(video) == 8
        assert video.times[-1] >= 3  # half a second would be gone too soon
        first, last = video.frames([0, 7])
    assert colours(first[:200])[1] == pytest.approx(0, abs=5)
    assert colours(last[:200])[1] > 80
    assert colours(last[:200])[0] == pytest.approx(0, abs=5)


def test_endings():
    for name in ('a.png', 'a.JPG', 'a.pdf', 'b/a.mp4'):
        check_ending(name)
    for name in ('a.avi', 'a', 'png'):
        with pytest.raises(UsageError, match=r'must end in \.avif, .*\.mp4'):
            check_ending(name)
