"""Shrunken means of annotators: between the own mean and the mean of all, with intervals that hold."""

import numpy as np
import pytest

from mandseg.statistics.annotator_effect import annotator_effects, region_effects


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


def test_regions_of_one_annotator_share_what_is_known():
    rng = np.random.default_rng(2)
    spread = np.array([0.4, 0.5, 0.7, 1.2, 1.2, 0.8])  # of a case, by region
    errors, held = {"one model": [], "region by region": []}, []
    for _ in range(40):
        names = "abcdefgh"
        true = 0.3 + 0.6 * rng.standard_normal((8, 1)) + 0.2 * spread * rng.standard_normal((8, 6))
        values = {
            name: mean + 0.3 * rng.standard_normal((3, 1)) + spread * rng.standard_normal((3, 6))
            for name, mean in zip(names, true, strict=True)
        }
        found = region_effects(values, names)
        alone = [annotator_effects({name: own[:, r] for name, own in values.items()}, names) for r in range(6)]
        for k, name in enumerate(names):
            for r in range(6):
                errors["one model"].append(found[name][r].mean - true[k, r])
                errors["region by region"].append(alone[r][name].mean - true[k, r])
                held.append(found[name][r].low <= true[k, r] <= found[name][r].high)
    of_one, by_region = (np.sqrt(np.mean(np.square(errors[way]))) for way in ("one model", "region by region"))
    assert of_one < 0.95 * by_region
    assert 0.92 <= np.mean(held) <= 0.98


def test_a_habit_in_one_region_stays_in_that_region():
    rng = np.random.default_rng(3)
    true = np.zeros((6, 6))
    true[0, 3] = -3.0  # the first annotator leaves the condyles out
    values = {name: true[k] + 0.3 * rng.standard_normal((6, 6)) for k, name in enumerate("abcdef")}
    found = region_effects(values, "abcdef")
    assert found["a"][3].high < -2
    assert not any(effect.excludes_zero for r, effect in enumerate(found["a"]) if r != 3)


def test_an_annotator_without_a_value_in_a_region_has_a_wide_interval_there():
    rng = np.random.default_rng(4)
    true = {"wide": 1.5, "b": 0.0, "c": -0.2, "d": 0.3, "e": 0.1}
    values = {name: mean + 0.2 * rng.standard_normal((4, 2)) for name, mean in true.items()}
    values["wide"][:, 1] = np.nan
    found = region_effects(values, [*values, "new"])
    assert [found[name][1].n for name in (*values, "new")] == [0, 4, 4, 4, 4, 0]
    assert found["wide"][1].mean > found["new"][1].mean + 0.3  # large in the other region
    assert not found["wide"][1].excludes_zero
    assert found["wide"][0].excludes_zero
