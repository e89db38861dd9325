"""A mistyped word of the command line is answered in one line with what was expected, without words of Hydra."""

import sys

import pytest
from hydra._internal.utils import get_args_parser

from composing import composed, refused
from mandseg.runs.settings.hydra_options import FLAGS, INFO, SHORT, WITH_VALUE
from mandseg.train import main
from tiny_cohort import write_tiny_cohort


def name(value):
    return " ".join(value) if isinstance(value, list) else ""


MISTYPED = [
    (["method=foo"], "method=foo: expected one of bias_correction, co_teaching, "),
    (["method=supervized"], "method=supervized: did you mean supervised? Expected one of bias_correction, "),
    (["-m", "noise=planning,foo"], "noise=foo: expected one of expert, gross, margin, "),
    (["model=unett"], "model=unett: did you mean unet? Expected one of attention_unet, "),
    (["-m", "hydra/launcher=slurn"], "hydra/launcher=slurn: did you mean slurm? Expected one of basic, "),
    (["--config-name", "demoo"], "--config-name demoo: did you mean demo? Expected one of bias, clean_budget, demo, "),
    (["stpes=4"], "stpes: there is no such setting; did you mean steps? Expected one of analysis, batch_size, "),
    (["-m", "nois_ratio=0,1"], "nois_ratio: there is no such setting; did you mean noise_ratio? Expected one of "),
    (["trainer.devics=2"], "trainer.devics: there is no such setting; did you mean devices? Expected one of "),
    (["model.network.chanels=[4]"], "model.network.chanels: there is no such setting; did you mean channels? Expected"),
    (["hydra.launcher.jobz=3", "hydra/launcher=local", "-m"], "hydra.launcher.jobz: there is no such setting; did you"),
    (["noise_ratio"], "noise_ratio: expected SETTING=VALUE, e.g. noise_ratio=0.5"),
    (["seed=1", "baz"], "baz: expected SETTING=VALUE"),
    (["noise_ratio=[0"], "noise_ratio=[0: a bracket or a quote is open; put the whole word in quotes"),
    (["+seed=3"], "+seed: the setting is there already, leave out the +"),
    (["~foo"], "~foo: there is no such setting"),
    (["data=folder"], "data.manifest: is missing, give data.manifest=VALUE"),
    (["-m", "--cfg", "job", "seed=0,1"], "--cfg prints the configuration of one run: leave out -m and give each"),
    (["noise_ratio=0,1"], "noise_ratio=0,1: several values need -m, as in python -m mandseg.train -m noise_ratio=0,1"),
    (
        ["noise_ratio=0,25"],
        "noise_ratio=0,25: several values need -m, as in python -m mandseg.train -m noise_ratio=0,25; ",
    ),
    (["seed=range(0,3)"], "seed=range(0,3): several values need -m, as in python -m mandseg.train -m seed=range(0,3)"),
    (["model=unet,segresnet"], "model=unet,segresnet: several values need -m"),
    (["data.manifest=a.csv"], "data.manifest: the chosen data has no such setting; data=fold|folder|openkbp have it"),
    (
        ["noise.target_dice=0.8", "noise=recorded"],
        "noise.target_dice: the chosen noise has no such setting; noise=expert|",
    ),
    (["optimizer.name=adam"], "optimizer.name: there is no such setting; expected one of"),
    (["+data=folder"], "+data: the setting is there already, leave out the +"),
    (
        ["++noise_ration=0.4"],
        "noise_ration: there is no such setting; did you mean noise_ratio? Expected one of analysis",
    ),
    (["+note=night"], "note: there is no such setting; did you mean noise? Expected one of analysis"),
    (["-m", "hydra.launcher=slurm"], "hydra.launcher=slurm: write hydra/launcher=slurm, with -m"),
    (["-m", "launcher=local"], "launcher=local: write hydra/launcher=local, with -m"),
    (
        ["hydra/launcher=local"],
        "hydra/launcher=local: a launcher needs -m, as in python -m mandseg.train -m hydra/launcher",
    ),
    (["-m", "-c", "job"], "--cfg prints the configuration of one run: leave out -m and give each"),
]


@pytest.mark.parametrize(
    ("words", "line"), MISTYPED, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_mistyped_word_is_answered_with_what_was_expected(monkeypatch, capsys, tmp_path, words, line):
    answer = refused(monkeypatch, capsys, tmp_path, *words)
    assert answer.startswith(line)
    assert not any(word in answer for word in ("in struct", "full_key", "hydra.cc", "override", "interpolation"))


@pytest.mark.parametrize(
    ("own", "line"),
    [
        (["data.manifest=nowhere/manifest.csv"], "nowhere/manifest.csv: no such manifest"),
        (["-m", "data.manifest=cohort", "seed=0,1", "eval.far=nowhere.csv"], "nowhere.csv: no such manifest"),
        (
            ["data.manifest=cohort", "noise=recorded", "noise_ratio=0.5"],
            "noise=recorded: none of the 4 training cases",
        ),
        (
            ["data.manifest=cohort", "noise.leave_out=Eve"],
            "noise.leave_out: no annotator is called 'Eve', the names are",
        ),
    ],
    ids=name,
)
def test_what_cannot_start_is_refused_from_the_manifest_and_not_listed(monkeypatch, capsys, tmp_path, own, line):
    cohort = write_tiny_cohort(tmp_path / "cohort")
    manifest = cohort.root / "manifest.csv"
    rows = [row.split(",") for row in manifest.read_text().splitlines()]
    noisy = rows[0].index("noisy")
    kept = [",".join("" if n and k == noisy else cell for k, cell in enumerate(row)) for n, row in enumerate(rows)]
    manifest.write_text("\n".join(kept) + "\n")
    for file in cohort.root.glob("*_image.nii.gz"):
        file.write_bytes(b"no image: it is not read")
    assert refused(monkeypatch, capsys, tmp_path, "data=folder", *own).startswith(line)


def test_a_study_has_the_name_of_its_cohorts_folder(tmp_path):
    (tmp_path / "2024").mkdir()
    names = {
        "data=phantom": "phantom",
        f"data=folder data.manifest={tmp_path}/2024/manifest.csv": "2024",
        f"data=folder data.manifest={tmp_path}/2024": "2024",
        f"data=folder data.manifest={tmp_path}/2024 data.name=mine": "mine",
        f"data=folder data.manifest={tmp_path}/2024 study=other": "other",
    }
    assert {words: composed(*words.split()).study for words in names} == names


def test_cfg_of_a_sweep_prints_one_configuration(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", "--config-name", "demo", "--cfg", "job"])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert "study: demo" in capsys.readouterr().out


def test_the_options_of_the_training_are_those_of_hydra():
    actions = [action for action in get_args_parser()._actions if action.option_strings]
    long = {action.option_strings[0]: action for action in actions}
    assert set(long) == {*FLAGS, *WITH_VALUE, "--info"}
    assert {short: name for name, action in long.items() for short in action.option_strings[1:]} == SHORT
    assert {name for name, action in long.items() if action.nargs == 0} == set(FLAGS)
    assert {name: tuple(long[name].choices or ()) for name in WITH_VALUE} == WITH_VALUE
    assert tuple(long["--info"].choices or ()) == INFO
