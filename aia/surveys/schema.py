"""The rows of a survey: one for each clip, in Parquet files whose metadata say which network made them.

A survey is a folder of `part-*.parquet`; their order means nothing. All arrays are lists, so that DuckDB, polars and pandas
read them without this library. `gates` has an entry for every block and unit, `ablations` one for everything switched.
Example, with arrays cut short:

    path       "left/a.mp4"       relative to the metadata's `data`
    label      "left"             group: "scene 3", split: "test" (null if unknown); error: null, or why the rest is null
    answer     "left"             confidence: .93, sure: true, logits: [2.1, -0.3, ...] in the order of `labels`
    frames     [3, 9, ...]        those that the network saw; fps: 20.0, duration: 3.5 (s), warnings: []
    gates      [{block "features.12", unit "combined" (or "C", "T", "2.C", ...), mean .51, spread .04, profile [T],
                 channels [C], deviation .02, profile_deviation [T], unusual [{channel 17, zscore -4.2}, ...]}, ...]
    ablations  [{block "features.12", unit "*" (the whole block) or "C", ..., mode "mean", answer "left",
                 confidence .8, logits [...]}, ...]; null without --ablate
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from aia.errors import AIAError
from aia.modeling.config import AIAConfig

VERSION = "1"  # of the schema
PREFIX = "aia."  # of the metadata's keys
PARTS = "part-*.parquet"
_LATER = ("root", "split", "group_column")  # older surveys do not name them

_floats = pa.list_(pa.float32())

GATE = pa.struct(
    [
        pa.field("block", pa.string(), nullable=False),
        pa.field("unit", pa.string(), nullable=False),  # "combined" for the gate that multiplies the feature
        pa.field("mean", pa.float32()),  # over frames, channels and places
        pa.field(
            "spread", pa.float32()
        ),  # standard deviation of the map (the mean over channels) over frames and places
        pa.field("profile", _floats),  # mean in each frame, [T]
        pa.field("channels", _floats),  # mean of each channel, [C]; [1] if the gate does not tell channels apart
        pa.field("deviation", pa.float32()),  # root mean square of the map's difference from what is typical
        pa.field("profile_deviation", _floats),  # the profile less what is typical, [T]
        # only for the combined gate: the channels with the most unusual means, in standard deviations, the most unusual first
        pa.field("unusual", pa.list_(pa.struct([("channel", pa.int32()), ("zscore", pa.float32())]))),
    ]
)

ABLATION = pa.struct(
    [
        pa.field("block", pa.string(), nullable=False),
        pa.field("unit", pa.string(), nullable=False),  # "*" for all units of the block
        pa.field(
            "mode", pa.string(), nullable=False
        ),  # what the gates are switched to, one of "mean", "identity", "shuffle"
        pa.field("answer", pa.string()),
        pa.field("confidence", pa.float32()),
        pa.field("logits", _floats),
    ]
)

SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("group", pa.string()),  # scene or source video: clips of one group are not independent observations
        pa.field("split", pa.string()),  # "train", "test", ...
        pa.field("error", pa.string()),
        pa.field("answer", pa.string()),  # the most probable label
        pa.field("confidence", pa.float32()),  # its probability
        pa.field("sure", pa.bool_()),  # whether the confidence reaches the network's threshold
        pa.field("logits", _floats),
        pa.field("frames", pa.list_(pa.int32())),
        pa.field("fps", pa.float32()),
        pa.field("duration", pa.float32()),
        pa.field("warnings", pa.list_(pa.string())),
        pa.field("gates", pa.list_(GATE)),
        pa.field("ablations", pa.list_(ABLATION)),
    ]
)


@dataclass(frozen=True)
class About:
    """What made the rows of a survey; the metadata of each file, as text under these names with "aia." before them.

    Attributes:
        model: Name that the network was loaded by.
        revision: Of a Hub repository, as given; may be empty.
        weights: `AIANet.fingerprint`.
        config: config.json as text.
        config_hash: SHA-256 of `config`.
        labels: Names of the classes, in the order of the logits.
        blocks: Names of the blocks with gates, in order.
        units: Names of each block's units, such as C, T, H, W.
        title: The network in the paper's words.
        precision: Of the features.
        reference: What "typical" was measured on, such as "200 training clips"; empty if unknown.
        ablate: "", "blocks" or "units" (which includes the blocks).
        data: What was surveyed, as given. `path` is relative to it.
        version: Of the library.
        schema: Of the rows, `VERSION`.
        root: Folder of the files that a table names, as given; empty without one, and in older surveys.
        split: The only one surveyed, by its usual name; empty for all clips, None in older surveys.
        group_column: Of the groups, in lower case; empty for the usual ones, None in older surveys.
    """

    model: str
    revision: str
    weights: str
    config: str
    config_hash: str
    labels: tuple[str, ...]
    blocks: tuple[str, ...]
    units: tuple[str, ...]
    title: str
    precision: str
    reference: str
    ablate: str
    data: str
    version: str
    schema: str = VERSION
    root: str = ""
    split: str | None = None
    group_column: str | None = None

    def metadata(self) -> dict[bytes, bytes]:
        """Keys and values of a Parquet file; tuples as JSON lists."""
        return {
            (PREFIX + name).encode(): (value if isinstance(value, str) else json.dumps(value)).encode()
            for name, value in asdict(self).items()
            if value is not None
        }

    @classmethod
    def from_metadata(cls, metadata: dict[bytes, bytes] | None) -> About:
        """The reverse of `metadata`.

        Raises:
            KeyError, ValueError: It is not of a survey.
        """
        known = metadata or {}
        keys = {f.name: (PREFIX + f.name).encode() for f in fields(cls)}
        values = {name: known[key].decode() for name, key in keys.items() if key in known or name not in _LATER}
        lists: Any = {name: tuple(json.loads(values[name])) for name in ("labels", "blocks", "units")}
        return cls(**{**values, **lists})

    @property
    def network(self) -> AIAConfig:
        """The network's configuration."""
        return AIAConfig.from_dict(json.loads(self.config))


def config_hash(config: str) -> str:
    """SHA-256 of a config.json."""
    return hashlib.sha256(config.encode()).hexdigest()


def part_names(filesystem: Any, folder: str) -> list[str]:
    """The parts in a folder by fsspec's names; none if there is no such folder. Its own name may hold wildcards."""
    try:
        names = [str(name) for name in filesystem.ls(folder, detail=False)]
    except FileNotFoundError:
        return []
    return sorted(name for name in names if fnmatchcase(name.rpartition("/")[2], PARTS))


def read_survey(folder: str, columns: Sequence[str] | None = None) -> tuple[pa.Table, About]:
    """Reads all rows of a survey, sorted by path.

    Args:
        folder: As given to `aia survey --out`; a folder or an address that fsspec reads.
        columns: Only these; all by default. `gates` and `ablations` are by far the largest.

    Raises:
        AIAError: It is not a survey, or its files were made by different networks.
    """
    try:
        filesystem, root = fsspec.core.url_to_fs(str(folder))
        names = part_names(filesystem, root)
    except Exception as error:  # each file system has errors of its own
        raise AIAError(
            f"{folder} cannot be read ({type(error).__name__}); check the address and your access."
        ) from None
    if not names:
        raise AIAError(f"{folder} holds no survey; make one with aia survey DATA --out {folder}.")
    tables = []
    for name in names:
        try:
            with filesystem.open(name) as file:
                table = pq.read_table(
                    file, columns=None if columns is None else list({"path": 0, **dict.fromkeys(columns)})
                )
                tables.append((table, About.from_metadata(table.schema.metadata)))
        except (OSError, KeyError, ValueError, pa.ArrowException):
            raise AIAError(
                f"{name} is not a part of a survey or is damaged; remove it and run the survey again."
            ) from None
    about = tables[0][1]
    if any(other != about for _, other in tables):
        raise AIAError(f"{folder} holds surveys of different networks or data; give each a folder of its own.")
    table = pa.concat_tables([table.replace_schema_metadata(about.metadata()) for table, _ in tables]).sort_by("path")
    return table if columns is None else table.select(list(columns)), about
