"""The difference from a linear mixed model with crossed random effects of case and seed: a check of the bootstrap.

For a complete table the method of moments gives the same variances as REML where no variance is zero
(Searle, Casella and McCulloch 1992). The tests compare it with statsmodels.
"""

from dataclasses import replace

from scipy import special

from mandseg.metrics.catalogue import Metric
from mandseg.statistics.bootstrap import Interval
from mandseg.statistics.non_inferiority import verdict
from mandseg.statistics.paired_tests import Pairs
from mandseg.statistics.results import Difference, MixedCheck
from mandseg.statistics.variance import by_subject, mean_squares
from mandseg.system.wording import count, verb


def mixed_check(row: Difference, pairs: Pairs, metric: Metric, tail: float) -> MixedCheck:
    """Difference = mean + seed + case + residual, fitted to the paired differences of one level.

    The interval is symmetric and uses Satterthwaite's degrees of freedom. Cases that lack a seed are left out.
    """
    check = MixedCheck(row.dataset, row.metric, row.level, group=row.group)
    complete = pairs.scores.complete_cases() if pairs.scores is not None else None
    if complete is None or len(set(complete.subjects)) < 2 or len(complete.seeds) < 2:
        return replace(check, notes=("needs two seeds and two subjects that were scored at both levels",))
    assert pairs.scores is not None
    squares = mean_squares(complete.values, complete.numbered_subjects)
    spread, parts = squares.spread, squares.components
    mean, error = float(by_subject(complete.values, complete.numbered_subjects).mean()), spread.variance**0.5
    half = float(special.stdtrit(spread.degrees_of_freedom, 1 - tail)) * error
    checked = verdict(metric, row.margin, Interval(mean - half, mean + half))
    absent = len(pairs.scores.cases) - len(complete.cases)
    return replace(
        check,
        difference=mean,
        low=mean - half,
        high=mean + half,
        standard_error=error,
        degrees_of_freedom=spread.degrees_of_freedom,
        sd_seed=parts.seed**0.5,
        sd_case=parts.case**0.5,
        sd_residual=parts.rest**0.5,
        verdict=checked,
        agrees=checked == row.verdict,
        notes=(f"{count(absent, 'case')} that {verb(absent, 'lack')} a seed {verb(absent, 'are')} left out",)
        if absent
        else (),
    )
