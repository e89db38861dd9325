"""Which modules are mutated, and the test files that must notice it."""

METRICS = ("tests/metrics/test_metrics.py", "tests/metrics/test_catalogue.py", "tests/metrics/test_exact_metrics.py")
DISPLACEMENT = (
    "tests/metrics/test_deviation.py",
    "tests/metrics/test_regions.py",
    "tests/metrics/test_exact_regions.py",
)
PLANS = ("tests/noise/test_plan.py", "tests/noise/test_clean_budget.py", "tests/noise/test_exact_plan.py")
ANALYSIS = (
    "tests/statistics/test_exact_statistics.py",
    "tests/statistics/test_exact_variance.py",
    "tests/statistics/test_exact_tables.py",
    "tests/statistics/test_paired.py",
    "tests/statistics/test_bootstrap.py",
    "tests/statistics/test_equivalence.py",
    "tests/statistics/test_mixed.py",
    "tests/statistics/test_statistics.py",
    "tests/statistics/test_comparison.py",
)
ANNOTATORS = ("tests/statistics/test_annotator_effect.py", "tests/statistics/test_exact_variance.py")
PLANNING = ("tests/statistics/test_exact_statistics.py", "tests/statistics/test_planning.py")

MODULES = {
    "metrics/agreement.py": METRICS,
    "metrics/mask_pair.py": METRICS,
    "metrics/masks.py": METRICS,
    "metrics/surfaces.py": METRICS,
    "metrics/margins.py": (*METRICS, "tests/statistics/test_comparison.py"),
    "metrics/displacement.py": DISPLACEMENT,
    "metrics/division.py": DISPLACEMENT,
    "metrics/regions.py": DISPLACEMENT,
    "metrics/signed_distance.py": DISPLACEMENT,
    "noise/label_plan.py": PLANS,
    "noise/clean_budget.py": PLANS,
    "statistics/analysis.py": ANALYSIS,
    "statistics/annotator_effect.py": (
        "tests/statistics/test_annotator_effect.py",
        "tests/statistics/test_exact_variance.py",
    ),
    "statistics/arm_notes.py": ANALYSIS,
    "statistics/bootstrap.py": ANALYSIS,
    "statistics/comparison.py": ANALYSIS,
    "statistics/dataset_contrasts.py": ANALYSIS,
    "statistics/dose_response.py": ANALYSIS,
    "statistics/mixed_model.py": ANALYSIS,
    "statistics/non_inferiority.py": ANALYSIS,
    "statistics/paired_tests.py": ANALYSIS,
    "statistics/pilot.py": PLANNING,
    "statistics/planning.py": PLANNING,
    "statistics/power.py": (*PLANNING, "tests/statistics/test_mixed.py"),
    "statistics/results.py": ANALYSIS,
    "statistics/score_table.py": ANALYSIS,
    "statistics/tolerated_ratio.py": ANALYSIS,
    "statistics/variance.py": ANALYSIS,
}
"""Module below src/mandseg to its test files."""
