"""Arms differ by settings and by content, and never by the spelling or the order of overrides."""

import pytest

from mandseg.runs.record import RunRecord
from mandseg.runs.variants import Description, describe, settings_of_words, tell_apart

FOUR_STEPS = RunRecord({}, "done", settings={"steps": 4.0})
COLUMNS = {"data": "cohort", "noise": "recorded", "model": "unet", "method": "supervised"}


def whole(run: str, content: dict | None = None, columns: dict | None = None, **settings: object) -> Description:
    record = RunRecord({}, "done", settings=settings, content=content or {})
    return describe(run, COLUMNS | (columns or {}), record, "seed=0 anything=else")


def typed(run: str, words: str) -> Description:
    return describe(run, COLUMNS, None, words)


def test_runs_of_other_settings_are_other_arms_even_if_no_condition_is_there_twice():
    apart = tell_apart([whole("a", steps=4.0, window=1500.0), whole("b", steps=40.0, window=1500.0)])
    assert apart.names == {"a": "steps=4", "b": "steps=40"}
    assert apart.settings == ("runs that differ in steps are not compared with each other: 4 (a); 40 (b)",)


def test_equal_settings_make_one_arm_for_any_spelling():
    runs = [describe(run, COLUMNS, FOUR_STEPS, words) for run, words in (("a", "steps=4"), ("b", ""))]
    assert tell_apart(runs).names == {"a": "", "b": ""}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("steps=20 optimizer.lr=1e-3", "optimizer.lr=0.001 steps=20"),
        ("steps=20", "trainer=cpu tracking=none steps=20 output_dir=/a/b num_workers=2 debug=true rerun=true"),
        ("steps=20", "steps=20.0"),
        ("data.manifest=a/manifest.csv", "data.manifest=/data/a/manifest.csv cache_dir=/c"),
        ("patches.patch_size=[32,32,16]", "patches.patch_size=[32, 32, 16]"),
        ("noise_ratio=0.5 seed=1 model=unet", "+eval.far=b.csv seed=2 analysis.primary=dice"),
        ("", "trainer.devices=2 evaluation.save_predictions=true"),
    ],
)
def test_words_that_decide_nothing_and_their_order_make_no_arm(one, other):
    assert tell_apart([typed("a", one), typed("b", other)]).names == {"a": "", "b": ""}


@pytest.mark.parametrize(
    "word", ["steps=40", "trainer.precision=32-true", "evaluation.smallest_piece=0", "hu_window.low=-100"]
)
def test_words_that_decide_a_score_make_an_arm(word):
    assert tell_apart([typed("a", word), typed("b", "seed=1")]).names == {"a": word, "b": ""}


def test_a_value_with_spaces_is_one_word():
    assert settings_of_words("patches={patch_size: [32, 32]} steps=4") == {
        "patches": "{patch_size: [32, 32]}",
        "steps": 4.0,
    }


def test_settings_of_a_column_may_differ_with_it():
    runs = [
        whole("a", columns={"model": "unet"}, **{"model.width": 16.0}),
        whole("b", columns={"model": "segresnet"}, **{"model.depth": 3.0}),
    ]
    assert set(tell_apart(runs).names.values()) == {""}
    wider = whole("c", columns={"model": "unet"}, **{"model.width": 32.0})
    assert tell_apart([*runs, wider]).names == {"a": "model.width=16", "b": "", "c": "model.width=32"}


def test_runs_from_other_labels_are_other_arms_and_both_digests_are_reported():
    old = {"training": {"images": "i", "references": "aaaa"}, "test": {"images": "i", "references": "cccc"}}
    new = {"training": {"images": "i", "references": "bbbb"}, "test": {"images": "i", "references": "cccc"}}
    apart = tell_apart([whole("a", old), whole("b", new)])
    assert len(set(apart.names.values())) == 2
    assert all(name.startswith("training=") for name in apart.names.values())
    assert apart.content == (
        "runs from different training references are not compared with each other: aaaa (a); bbbb (b)",
    )


def test_noisy_labels_may_differ_between_noises_only():
    first, second = ({"training": {"noisy": digest}} for digest in ("aa", "bb"))
    other_noise = tell_apart([whole("a", first), whole("b", second, {"noise": "expert"})])
    assert set(other_noise.names.values()) == {""}
    assert len(set(tell_apart([whole("a", first), whole("b", second)]).names.values())) == 2


def test_a_data_set_that_one_run_was_not_tested_on_makes_no_arm():
    both = {"test": {"images": "i"}, "far": {"images": "j"}}
    apart = tell_apart([whole("a", both), whole("b", {"test": {"images": "i"}})])
    assert set(apart.names.values()) == {""}


def test_an_older_run_is_compared_by_its_overrides():
    assert tell_apart([whole("new", steps=20.0, window=1.0), typed("old", "steps=20")]).names == {"new": "", "old": ""}
    apart = tell_apart([whole("new", steps=20.0), typed("old", "steps=40")])
    assert apart.names == {"new": "steps=20", "old": "steps=40"}


def test_many_differences_give_a_short_name_that_distinguishes_runs():
    runs = [whole(run, **{f"key{k}": float(k + shift) for k in range(20)}) for shift, run in enumerate("ab")]
    names = tell_apart(runs).names
    assert names["a"] != names["b"]
    assert "and 15 more" in names["a"]


def test_the_folds_of_one_study_are_separate_without_a_message():
    folds = [
        whole(f"fold{n}", {"training": {"noisy": f"n{n}"}, "left_out": {"image": f"i{n}"}}, **{"data.fold": float(n)})
        for n in (0, 1)
    ]
    apart = tell_apart(folds)
    assert apart.names == {"fold0": "data.fold=0", "fold1": "data.fold=1"}
    assert apart.settings == apart.content == ()


def test_one_fold_of_other_images_is_named():
    folds = [whole(run, {"training": {"image": run}}, **{"data.fold": 0.0}) for run in ("a", "b")]
    assert len(tell_apart(folds).content) == 1
