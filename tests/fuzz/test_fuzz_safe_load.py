"""Damaged or forged checkpoints and predictions only give values."""

from tests.fuzz.harness import fuzz
from tests.fuzz.safe_load import make, trial


def test_damaged_and_forged_files_are_loaded_or_refused():
    words, failures = fuzz(make, trial, seed=13, count=6000)
    assert not failures
    assert words['loaded'] > 100
    assert words['refused'] > 4000
