"""A survey whose answers are known: Parquet files as `aia survey` writes them, without a network."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import aia
from aia.surveys.schema import SCHEMA, About, config_hash

LABELS = ("left", "right", "still")
BLOCKS, CHANNELS, FRAMES = ("layer1.0", "layer2.0"), (6, 10), 8


def about(labels=LABELS, model="small", data="clips", ablate="blocks") -> About:
    config = json.dumps(aia.AIAConfig(labels, arch="resnet18", num_segments=FRAMES).to_dict())
    return About(
        model=model,
        revision="",
        weights="0" * 64,
        config=config,
        config_hash=config_hash(config),
        labels=tuple(labels),
        blocks=BLOCKS,
        units=("C", "T"),
        title="TSM with CinST",
        precision="float32",
        reference="",
        ablate=ablate,
        data=data,
        version="0.1",
    )


def made_rows(count=60, labels=LABELS, groups=10, seed=0, names=None) -> list[dict]:
    """Rows of `count` clips of equally many of each class.

    The answer is right but for every tenth clip. Channel 3 of layer2.0 is open by the number of its class / 10 more, and its
    profile rises in class "right" alone. Without the gates of layer2.0 every answer is "left"; layer1.0 changes nothing.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        kind = i % len(labels)
        answer = labels[(kind + (i % 10 == 9)) % len(labels)]
        gates, ablations = [], []
        for block, width in zip(BLOCKS, CHANNELS, strict=True):
            channels = 0.5 + 0.02 * rng.normal(size=width)
            profile = 0.5 + 0.01 * rng.normal(size=FRAMES)
            if block == BLOCKS[1]:
                channels[3] += 0.1 * kind
                profile += 0.1 * (kind == 1) * np.linspace(0, 1, FRAMES)
            entry = {"block": block, "mean": channels.mean(), "spread": 0.1, "profile": profile, "channels": channels}
            gates += [entry | {"unit": "combined"}, entry | {"unit": "C", "channels": channels[:1]}]
            for mode in ("mean", "identity", "shuffle"):
                other = labels[0] if block == BLOCKS[1] else answer
                ablations.append({"block": block, "unit": "*", "mode": mode, "answer": other, "confidence": 0.5})
        rows.append(
            {
                "path": names[i] if names else f"{labels[kind]}/clip-{i:03}.mp4",
                "label": labels[kind],
                "group": f"scene {i // len(labels) % groups}" if groups else None,
                "answer": answer,
                "confidence": 0.9,
                "sure": True,
                "logits": [float(label == answer) for label in labels],
                "gates": gates,
                "ablations": ablations,
            }
        )
    return rows


def write(folder: Path, rows: list[dict], made_by: About | None = None, parts=2) -> Path:
    """Writes the rows in as many files."""
    folder.mkdir(parents=True, exist_ok=True)
    schema = SCHEMA.with_metadata((made_by or about()).metadata())
    for part in range(parts):
        pq.write_table(pa.Table.from_pylist(rows[part::parts], schema), folder / f"part-{part:05}.parquet")
    return folder
