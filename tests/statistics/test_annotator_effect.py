"""Shrunken means of annotators: between the own mean and the mean of all, with intervals that hold."""

import numpy as np
import pytest

from mandseg.statistics.annotator_effect import annotator_effects


def test_many_values_of_different_annotators_keep_their_means():
    rng = np.random.default_rng(0)
    values = {"wide": 1.5 + 0.1 * rng.standard_normal(30), "tight": -0.5 + 0.1 * rng.standard_normal(30)}
    found = annotator_effects(values, values)
    assert found["wide"].mean == pytest.approx(1.5, abs=0.05)
    assert found["tight"].mean == pytest.approx(-0.5, abs=0.05)
    assert found["wide"].excludes_zero
    assert found["tight"].excludes_zero
    assert found["wide"].n == 30


def test_few_scattered_values_are_shrunken_to_the_mean_of_all():
    values = {"a": [2.0], "b": [0.0, 0.1], "c": [0.2, -0.1]}
    found = annotator_effects(values, [*values, "new"])
    mean = np.mean([own.mean for own in found.values()])
    assert mean < found["a"].mean < 2.0
    assert found["new"].n == 0
    assert found["new"].high - found["new"].low > found["b"].high - found["b"].low
    assert not found["new"].excludes_zero


def test_a_common_bias_is_found_for_an_annotator_without_a_value():
    found = annotator_effects({name: [1.0 + 0.01 * k] for k, name in enumerate("abcdefgh")}, ["new"])
    assert found["new"].mean == pytest.approx(1.035, abs=0.01)
    assert found["new"].excludes_zero


def test_the_intervals_hold_the_true_means_about_as_often_as_they_claim():
    rng = np.random.default_rng(1)
    held = []
    for _ in range(100):
        true = dict(zip("abcdefghijkl", 0.8 + 0.5 * rng.standard_normal(12), strict=True))
        drawn = rng.choice(list(true), 10)
        values = {
            name: [true[name] + 0.3 * rng.standard_normal() for _ in range((drawn == name).sum())] for name in true
        }
        found = annotator_effects(values, true)
        held += [found[name].low <= value <= found[name].high for name, value in true.items()]
    assert 0.9 <= np.mean(held) <= 0.995


def test_one_value_has_no_interval():
    with pytest.raises(ValueError, match="1 value: expected two or more"):
        annotator_effects({"a": [1.0], "b": []}, ["a"])
