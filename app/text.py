"""Every sentence the page shows."""

from __future__ import annotations

from collections.abc import Sequence

from aia import Inspection
from aia.inspection import BlockGates
from aia.training.paths import NO_GESTURE

TITLE = "AIA Studio"
TAGLINE = "See what attention lets through in a video network."
INTRO = (
    "Attention in Attention puts tiny gates into every block of a video classifier. Give it a short clip: you get the "
    "label, and where, when and in which channels the gates opened."
)
UPLOAD = "Your clip"
EXAMPLES = "Or try an example (drawn by this project)"
MODEL = "Model"
RUN = "Show the gates"
PRIVACY = (
    "Your clip is read on this server, shown to nobody else and deleted about an hour later. "
    "It may have up to {seconds} s and {megabytes} MB."
)
EMPTY_TITLE = "Nothing to show yet"
EMPTY = "Choose an example or upload a clip. The label and the gates appear here in about a second."
NO_VIDEO = "There is no clip yet: upload one, record one or choose an example."
UNKNOWN_MODEL = "There is no model {name!r} on this page; choose one of {names}."
CRASH = "Something went wrong on our side (report number {id}); your clip is fine, please try once more."
KEPT = " Below you still see the previous clip."
BLOCK = "Block"
EXPIRED = "This result has expired: press “Show the gates” once more."
OPACITY = "Opacity"
COLOUR_MAP = "Colours"
SCALE = "Scale"
ABSOLUTE, THIS_CLIP = "0 to 1", "this clip"
SCALES = (ABSOLUTE, THIS_CLIP)
OVERLAY = "Spatio-temporal gate over the clip"
STRIP = "The frames the network saw"
STRIP_DRAWN = "The same frames with the gate"
CHANNELS = "Gate per channel"
CHANNELS_HELP = "Every channel's mean gate over space and time: 1 is open, 0 is shut."
PROFILE = "Gate over time"
PROFILE_HELP = "The mean of the heat map in each frame, over seconds of your clip."
LEGEND_LOW, LEGEND_HIGH = "0 shut", "1 open"
LEGEND_ABSOLUTE = "The same colours for every clip and block. To see small differences, choose the scale “this clip”."
LEGEND_STRETCHED = "Colours stretched to this block and clip: small differences look large."
LIMITS = (
    "Gates show what the network let through for <em>every</em> class, not why it chose this one: they are not "
    "class-specific, and attention is not an explanation. Part of a map is much the same for any clip: compare two before you "
    "read it as an answer to yours. The model knows only its own labels: a clip of something else may still get one of them."
)
NO_GATES_TITLE = "This model has no gates"
NO_GATES = (
    "It is the plain video network without AIA, there to compare its label with. To see gates, choose a model with AIA in the "
    "menu “Model”, such as one with CinST; your clip stays."
)
UNKNOWN = "The model does not know this clip"
BLIND = (
    "This model averages single frames and is blind to their order, so it cannot tell a left swipe from a right one. "
    "A model with TSM or AIA sees the order."
)
STEP_READ, STEP_RUN, STEP_DRAW = "Reading the clip", "Running the network", "Drawing the gates"
CLASSIFY_API = (
    "Classifies a video. Returns the label, whether the model is sure (if not, it does not know the clip and the label is only "
    "the closest), the probability of every label (highest first), the model's name and the 0-based indices of the frames "
    "that the network saw."
)
INSPECT_API = (
    "Classifies a video and records the gates. Returns a JSON summary (label, sure, scores, frames, per-channel means and "
    "temporal profile of every block), gates.npz with every gate, and overlay.mp4 of one block (empty block: the one that the "
    "page shows first)."
)


def knows(labels: Sequence[str]) -> str:
    """What a model can answer, said before the upload."""
    if not labels:
        return "This model's labels are shown once it is loaded."
    shown = ", ".join(labels[:14]) + (f" and {len(labels) - 14} more" if len(labels) > 14 else "")
    return f"This model knows {len(labels)} labels: {shown}."


def headline(seen: Inspection) -> tuple[str, str]:
    """The model's answer, and a sentence on how sure it is."""
    best, limit = percent(float(seen.probabilities.max())), percent(seen.config.threshold)
    if not seen.sure:
        needed = f"gets {best}, and this model answers only from {limit} on."
        if seen.label == NO_GESTURE:
            return UNKNOWN, f"It cannot tell whether there is a gesture: “{seen.label}” {needed}"
        known = "gestures" if NO_GESTURE in seen.labels else "labels"
        return UNKNOWN, f"Probably none of its {known}: the closest, “{seen.label}”, {needed}"
    if seen.label == NO_GESTURE:
        return seen.label, "An answer, not an error: the model finds none of its gestures in this clip."
    if seen.config.threshold == 0:
        return seen.label, (
            f"The most probable of its {len(seen.labels)} labels. This model has no measured threshold, so it never says that "
            "it does not know."
        )
    return seen.label, f"It gets {best}; this model answers from {limit} on."


def percent(p: float) -> str:
    """A probability in words."""
    return "< 0.1 %" if p < 0.001 else f"{100 * p:.1f} %"


def what_is_seen(seen: Inspection, block: BlockGates) -> str:
    """One or two sentences on what a block's gate did on this clip."""
    found = block.highlights
    if found.flat:
        return (
            f"At {block.name} the gate is flat: {found.mean:.2f} at every place and time. This block's attention does not "
            "choose here; try another block."
        )
    times = seen.clip.times
    place = _place(*found.peak_place)
    where = (
        f"At {block.name} the gate is widest open ({found.high:.2f}) {place} at {times[found.peak_frame]:.2f} s; elsewhere it "
        f"goes down to {found.low:.2f}."
    )
    if found.steady:
        return f"{where} Averaged over the picture it hardly changes from frame to frame."
    return (
        f"{where} Over time it is most open at {times[found.open_frame]:.2f} s and most shut at "
        f"{times[found.closed_frame]:.2f} s."
    )


def block_choices(seen: Inspection) -> list[tuple[str, str]]:
    """What the block menu shows, and the block it stands for."""
    count = len(seen.blocks)
    sizes = (block.spatiotemporal_map.shape[1:] for block in seen.blocks)
    return [
        (f"{block.name} · {number}/{count} · {rows}×{columns}", block.name)
        for number, (block, (rows, columns)) in enumerate(zip(seen.blocks, sizes, strict=True), start=1)
    ]


def channels_named(block: BlockGates) -> str:
    """The strongest and the weakest channels of a block."""
    values, found = block.channel_mean, block.highlights
    if len(values) == 1:
        return f"This module has one gate for all channels; its mean is {values[0]:.2f}."
    steers = ""
    if block.attention in ("stinc", "stinc-2022-06"):
        steers = " They steer the gate shown above; they do not multiply the feature."
    if found.channels_flat:
        return f"{len(values)} channels, all alike: the gate is {values.mean():.2f} for each of them.{steers}"
    strong = ", ".join(f"{c} ({values[c]:.2f})" for c in found.strongest)
    weak = ", ".join(f"{c} ({values[c]:.2f})" for c in found.weakest)
    return f"{len(values)} channels. Strongest: {strong}. Weakest: {weak}.{steers}"


def ran(seen: Inspection) -> str:
    """Where and how long the network ran."""
    milliseconds = 1000 * seen.seconds["forward"]
    return (
        f"{seen.title} · {len(seen.clip.times)} of {seen.clip.num_frames} frames, {seen.clip.duration:.1f} s · "
        f"{milliseconds:.0f} ms on {device_words(seen.device)}"
    )


def device_words(device: str) -> str:
    """A torch device in words."""
    return {"cpu": "the CPU", "mps": "the Apple GPU"}.get(device.split(":")[0], "the GPU")


def _place(x: float, y: float) -> str:
    """A place in the picture in words."""
    row = "top" if y < 1 / 3 else "bottom" if y > 2 / 3 else ""
    column = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    return f"at the {' '.join(filter(None, (row, column)))}" if row or column else "in the middle"
