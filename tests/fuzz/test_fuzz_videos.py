from tests.fuzz.harness import fuzz
from tests.fuzz.videos import ALLOWED, damaged, sources, trial


def test_damaged_videos_end_in_frames_or_a_reason():
    assert len(sources()) > 80
    words, failures = fuzz(damaged, trial, seed=0, count=200, allowed=ALLOWED)
    assert not failures
    assert words['read'] > 25
    assert words['refused'] > 25
