"""Every sentence the page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from aia import AIAError, limits
from aia.inspection.gates import FLAT_SPREAD
from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.modeling.config import NO_GESTURE
from aia.video.source import FORMAT_NAMES

if TYPE_CHECKING:
    from aia import Inspection
    from aia.hub.gallery import HubModel
    from aia.inspection.ablation import Ranking
    from aia.inspection.inspection import Prediction
    from aia.modeling.config import AIAConfig
    from app.result import Result


def how_long(seconds: int) -> str:
    """A duration in words."""
    if seconds < 60:
        return f"{seconds} seconds"
    return {1: "a minute", 60: "an hour"}.get(seconds // 60, f"{seconds // 60} minutes")


# What the menu says of the shipped models. With all gates held at their mean, the label of 31 and 32 of the 40 test clips
# changes for TSN with CinST and STinC, and of 1 and 4 for TSM (`aia.inspect(..., held=True)`).
MODEL_USES = {
    "tsn-mobilenetv2-cinst": "the gates decide",
    "tsn-mobilenetv2-stinc": "the gates decide",
    "tsm-mobilenetv2-cinst": "the gates change little",
    "tsm-mobilenetv2-stinc": "the gates change little",
    "tsn-mobilenetv2-none": "blind to the order of frames",
    "tsm-mobilenetv2-none": "sees the order of frames",
    "camera-tsn-mobilenetv2-cinst": "the gates decide",
    "camera-tsn-mobilenetv2-none": "blind to the order of frames",
    "camera-tsm-mobilenetv2-cinst": "sees the order of frames, and the gates decide",
    "camera-tsm-mobilenetv2-none": "sees the order of frames",
    "actions-tsn-mobilenetv2-cinst": "with gates",
    "actions-tsm-mobilenetv2-cinst": "with gates, smaller pictures",
    "actions-tsm-mobilenetv2-none": "without gates, smaller pictures",
    "actions-tsn-mobilenetv2-none": "without gates, right most often",
}


class Group(NamedTuple):
    """What the page says about a group of models.

    Attributes:
        title: Its name.
        what: What its labels are, as in "none of its gestures".
        brief: What it knows, in a few words.
        sentence: What it knows and what it is good for, after its title and a colon.
    """

    title: str
    what: str
    brief: str
    sentence: str


GROUPS = {  # `AIAConfig.task` -> its group
    "gestures": Group(
        "Gestures",
        "gestures",
        "ten finger strokes",
        "what a pointing finger draws in the air, in first-person view. Any other clip is “no gesture”.",
    ),
    "camera": Group(
        "Camera",
        "camera movements",
        "nine movements",
        "how the camera moves: not at all, pan, tilt, roll, or zoom. This fits every video.",
    ),
    "actions": Group(
        "Actions",
        "actions",
        "fourteen actions",
        "mostly sport and music. Other clips often get a label, too: a talking man got “shaving beard”.",
    ),
}
OTHER_GROUP = "Other"
ASK_ALL = "Ask all: one model a group"
ASK_ALL_AGAIN = "Ask all"
ASKED = "What each group of models says about the clip"
ONLY_ONE = "Only the model that you chose is asked."
NOT_SURE = "not sure: {label}?"
NO_ANSWER = "no answer"
NOBODY_TO_ASK = "There is no group of models to ask on this page; choose a model from the menu."
KEPT_FOR = how_long(limits.DELETE_AFTER_SECONDS)
TITLE = "AIA Studio"
TAGLINE = "See what attention lets through in a video network."
INTRO = (
    "Attention in Attention (AIA) puts small gates into every block of a video classifier. A gate multiplies the features by a "
    "number between 0 (shut) and 1 (open). Give the page a short clip: it shows the label, and where, when and in which "
    "channels the gates opened."
)
UPLOAD = "Your clip"
EXAMPLES = "Examples"
ABOUT, ABOUT_CLIPS, MORE = "What is this?", "Clips: labels, formats, privacy", "More about this"
MODEL, ANY_MODEL = "Model", "Model, or the name of your own: a folder or user/repo"
RUN = "Run again"
PRIVACY = (
    "A clip may have up to {seconds} s and {megabytes} MB. This server reads it, shows it to nobody else, and it is deleted "
    "about {time} later."
)
EMPTY = "Choose an example or upload a clip. The label and the gates appear here in about a second."
NO_VIDEO = "There is no clip yet: upload one, record one or choose an example."
UNKNOWN_MODEL = "There is no model {name!r} on this page; choose one from the menu (`list_models` for API users)."
NOT_FROM_HERE = (
    "There is no model {name!r} on this page. Models that are not in the menu can be named only where the page is opened "
    "directly, at localhost or a numeric address, without a proxy."
)
NOT_ON_A_SPACE = (
    "--allow-any-model is not for a Space, which anybody can visit; offer models with the variable AIA_MODELS."
)
ANY_MODEL_IS_ALLOWED = (
    "--allow-any-model: everybody who can reach this page may load any model folder that this user can read and any Hub "
    "repository that HF_TOKEN opens."
)
BAD_INPUT = "The request is not valid; “Use via API” at the foot of the page says what each endpoint takes."
NOT_A_FLAG = "{name} is true or false; give one of them."
NO_ENDPOINT = "There is no such endpoint; “Use via API” at the foot of the page lists them."
FOR_TOOLS = "This is an address for tools (MCP); “Use via API” at the foot of the page says how to connect to it."
ANSWER_GONE = (
    "This answer does not exist, or it was fetched or deleted: each is kept a few minutes. Send the request again."
)
NO_ADDRESS = (
    "This page fetches no clips from addresses; post the file to /gradio_api/upload and give the path that it returns, as a "
    "tool's argument after this page's own address and /gradio_api/file=."
)
CLIP_OF_A_TOOL = (
    "A tool (MCP) names a clip by this page's own address, /gradio_api/file= and the path that a post to /gradio_api/upload "
    "returned."
)
TOO_LONG = "This request is too large; send clips to /gradio_api/upload."
TOO_LARGE_CLIP = "This clip is too large; the page says how large one may be."
LOST = "The server did not answer this request: check your connection, then try again."
FULL = "Too many visitors are waiting at this moment; try again in a minute."
NO_DISK = "This server has no room for more clips at this moment; try again in an hour."
DOWNLOADING = "The model {name} is being downloaded from the Hub; try again in a minute, or choose another model."
NOT_DOWNLOADED = "The model {name} could not be downloaded; try again later, or choose another model."
STEP_MODEL = "Getting the model"
NO_MEMORY = "There is not enough memory for this model and clip; try a smaller model or later."
NO_GPU = "There is no GPU for this request at this moment; please try again later."
DISK = "The disk of this server is full or cannot be written; please try again later."
CRASH = "Something went wrong on our side (report number {id}); your clip is fine, please try again."
CLOSE = "Close"
OLD_LINK = "This link asks for {missing}, which this page does not have; choose another."
OF_MODEL, OF_EXAMPLE = "the model {name!r}", "the example {name!r}"
CLIPLESS_LINK = (
    "This link has a view but no clip, since clips are not kept. You see an example: upload your clip again."
)
KEPT = " The previous result is still shown below."
NO_BLOCK = "This model has no block {name!r}; its blocks are {names}."
CLIP_GONE = (
    f"Your clip is no longer on the server: it is kept for about {KEPT_FOR}. Upload it again, or choose an example."
)
RESULT_GONE = (
    f"This result is no longer on the server (or not yet): results are kept for about {KEPT_FOR}. "
    "Upload your clip again, or choose an example."
)
TABS = {
    "look": "Look",
    "live": "Live",
    "what-if": "What if",
    "compare": "Compare",
    "learn": "Learn",
    "survey": "Survey",
    "take": "Export",
}
WHAT_IF = "Switch gates and see how the prediction changes. Side B shows the clip with the switched gates."
UNITS = "Which gates"
WHERE = "In which blocks"
ALL_BLOCKS = "all blocks"
MODE = "Switch them"
MODES = (("held at their mean", "mean"), ("wide open", "identity"), ("shuffled over the frames", "shuffle"))
MODES_HELP = (
    "Held at their mean: every gate has its mean over the clip. It lets through as much as before, but the same everywhere. "
    "What changes in the prediction is what the gate chose.",
    "Wide open: every gate is 1. A gate lies between 0 and 1, so the network learned its weights for features that its gates "
    "made smaller. Here all of them grow, and most of what changes is this scale.",
    "Shuffled over the frames: every frame gets the gates of another frame. The gates keep their values and lose their timing. "
    "T is the same in all frames, so it does not change.",
    "Scores: a logit is the score of a label before it becomes a probability. The label with the highest score wins.",
)
SWITCH = "Switch the gates"
RANK = "Which block matters most?"
NOTHING_TO_SWITCH = "This model has no gates to switch; choose a model with AIA, such as one with CinST."
NOTHING_TO_LEARN = "This model has no gates to explain; choose a model with AIA, such as one with CinST."
NO_UNIT = "None of the chosen gates is in this model; choose at least one of {units}."
COMPARE = (
    "Two models or two clips on one timeline. In “from usual” each model has its own scale; the others are shared. "
    "Side A is the result above. Choose side B."
)
OTHER_MODEL = "Model of side B"
WHICH = "Clip of side B"
SAME, BACKWARDS, ANOTHER_CLIP = "the same", "the same, played backwards", "another clip"
OTHER_VIDEO = "The other clip"
NO_OTHER_VIDEO = "There is no other clip yet: upload one or choose an example below."
RUN_COMPARE = "Compare"
TAKE = "A file of the view that you see now: this block, gate, frame, channel and scale."
FORMAT = "File"
OF_SIDE = "Of side"
MAKE = "Create file"
PYTHON = "Show as Python, to copy"
PYTHON_HELP = "A script that reproduces this view with the library aia."
NO_SIDE_B = "There is no side B to export yet: create one in “What if” or “Compare”."
LIMITS = (
    "Gates show what the network lets through for <em>every</em> class. They do not show why it chose this one: attention is "
    "not an explanation. A gate itself looks similar for any clip; “from usual” shows what is different in yours. The model "
    "knows only its own labels. A clip of something else may still get one of them."
)
UNKNOWN = "The model does not know this clip"
BLIND = (
    "This model averages single frames and is blind to their order: a clip played backwards gets the same answer. A model with "
    "TSM or AIA sees the order."
)
NO_GATES = (
    "This is the plain video network without AIA: it has no gates. To see some, choose a model with AIA in the menu “Model”, "
    "such as one with CinST; your clip stays."
)
UNITS_OF_VIEWER = {
    "C": "C says where and when, with one value for all channels. It cannot tell channels apart.",
    "T": "T says where, for each channel. It pools time, so it is the same in every frame and cannot say when.",
    "H": "H says in which column and when, for each channel. It pools the rows, so all rows of a column have one value.",
    "W": "W says in which row and when, for each channel. It pools the columns, so all columns of a row have one value.",
}
VIEWER: dict[str, Any] = {  # sentences of the viewer's own script
    "waiting": EMPTY,
    "no_gates": NO_GATES,
    "no_gates_b": "This is the plain network: it has no gates.",
    "gates": {"combined": "Combined", "C": "C", "T": "T", "H": "H", "W": "W"},
    "units": UNITS_OF_VIEWER,
    "units_of": {  # settings whose units are not as usual: this one averages its gates over the channels
        "stinc-2022-06": {
            axis: words.replace("for each channel", "the same for all channels: their mean")
            for axis, words in UNITS_OF_VIEWER.items()
        },
    },
    "combined": {
        "cinst": "Combined is what multiplies the feature: (T + H + W) / 3, computed after C has weighed the feature.",
        "st": "Combined is what multiplies the feature: (T + H + W) / 3.",
        "c": "Combined is what multiplies the feature: here C alone, where and when, the same for all channels.",
        "stinc": (
            "Combined is what multiplies the feature: C, the same for all channels. T, H and W only weighed what C was "
            "computed from."
        ),
        "stinc-2022-06": (
            "Combined is what multiplies the feature: C, the same for all channels. T, H and W only weighed what C was "
            "computed from."
        ),
        "any": "Combined is what multiplies the feature: what the block's two modules do together.",
    },
    "channel": "Shown: channel {channel} alone.",
    "no_channels": "The channels' own maps are too large to send: only their mean is shown.",
    "coming": "The channels' own maps are on their way: you see their mean until they arrive.",
    "lost": "The channels' own maps could not be loaded: only their mean is shown. Upload the clip again.",
    "channels": "mean gate, 0 shut to 1 open. Point at a bar to see its channel's map; press to keep it.",
    "bars": "mean gate, 0 shut to 1 open.",
    "bars_only": "mean gate, 0 shut to 1 open. They control the gate above, which is the same for all channels.",
    "one_channel": "this gate has one value for all channels",
    "differences": (
        "how far each mean gate is from usual; the most unusual at the ends, since some channels always vary more than others. "
        "Point at a bar to see its channel's map; press to keep it."
    ),
    "differences_only": "how far each mean gate is from usual.",
    "ends": ("Strongest:", "Weakest:"),
    "unusual": ("Most unusual, more open:", "Less open:"),
    "sentences": {
        "more": "{block} is more open than usual around {where}{when}: {value}, usually {usual}.",
        "less": "{block} is less open than usual around {where}{when}: {value}, usually {usual}.",
        "usual": "{block} is nowhere far from usual on this clip.",
        "small": "This gate hardly changes from clip to clip: the deepest colors stand for {limit}.",
        "open": "{block} is most open around {where}{when}: {value}.",
    },
    "less": "less open than usual",
    "more": "more open than usual",
    "waiting_typical": "What is usual for this model is on its way.",
    "no_typical": "What is usual for this gate is not known: you see the gate itself, from 0 to 1.",
    "low": "0 shut",
    "high": "1 open",
    "flat": FLAT_SPREAD,
    "flat_note": "This gate is flat: it is nearly uniform.",
    "scales": {
        "typical": "Usual is the mean over {clips}. The same colors for every clip.",
        "absolute": "The same colors for every clip and block.",
        "clip": "Colors stretched to this gate in all blocks of the clip: small differences look large.",
        "block": "Colors stretched to this gate in this block: small differences look large.",
    },
    "unseen": "The network did not see this part of the picture.",
    "try": "Try",
    "tries": {
        "gates-off": "Hold gates",
        "backwards": "Backwards",
        "without-gates": "Without gates",
    },
    "tries_help": {
        "gates-off": "The same clip with every gate held at its mean",
        "backwards": "The clip played backwards",
        "without-gates": "The same network, trained without gates",
    },
    "copy": "Copy link",
    "copied": "Copied",
    "copied_without": "Copied, without your clip",
    "drop": "Remove side B",
    "copy_yourself": "Copy this address:",
}
NO_SURVEY = "{name} holds no summary of a survey; make one with aia report."
NO_SURVEYED_CLIP = "This clip is not on the page's machine; choose another, or an example."
SURVEY: dict[str, Any] = {  # sentences of the survey's own script
    "choose": "Survey",
    "open": "Open a summary.json",
    "waiting": "Opening the survey.",
    "empty": (
        "This page has no survey. Make one with “aia survey” and “aia report”, and open its summary.json here. It stays in "
        "your browser."
    ),
    "lost": "The survey could not be loaded: check your connection and choose it again.",
    "bad": {
        "size": "This file is too large for a summary of a survey (400 kB at most): open the summary.json of aia report.",
        "json": "This file is no JSON: open the summary.json that aia report writes.",
        "format": "This file is no summary of a survey: open the summary.json that aia report writes.",
        "version": "This summary was written by another version of AIA Studio: write it again with aia report.",
        "values": "This summary is damaged: write it again with aia report.",
    },
    "facts": ("{model} classified 1 clip.", "{model} classified {count} clips."),
    "groups": (
        "They come from 1 scene or source video; the intervals (95 %) are over these.",
        "They come from {count} scenes or source videos; the intervals (95 %) are over these.",
    ),
    "no_groups": "The intervals (95 %) treat clips as independent.",
    "few_groups": "With fewer than 10 scenes, these intervals are too narrow.",
    "accuracy": "Accuracy: {accuracy} %.",
    "no_accuracy": "No clip has a label that the model knows, so no answer is right or wrong.",
    "by_answer": "Classes are the answers.",
    "errors": ("1 clip could not be read.", "{count} clips could not be read."),
    "left_out": (
        "1 class with fewer clips is in the report only.",
        "{count} classes with fewer clips are in the report only.",
    ),
    "claims_title": "What these numbers can and cannot say",
    "claims": [
        "Can: what this network answers without a block's gates. The gates are switched and nothing else, so the effect is "
        "causal.",
        "Cannot: what a network trained without these gates would answer. This one learned its weights with them.",
        "Can: which gates differ significantly between the classes. All channels are tested together. At most 5 % of "
        "those with * are expected to be there by chance.",
        "Cannot: that the network uses the difference, or why it is there. The background, the light or the speed may differ "
        "between the classes too.",
        "The intervals cover other clips like these, not another training run. Of 20 blocks without an effect, about one "
        "interval excludes 0.",
        "A mean hides single clips. Look at some before you name a pattern.",
    ],
    "blocks_title": "With a block's gates switched",
    "blocks_help": "One block at a time has its gates switched: the change of right answers, in points. Choose a block.",
    "blocks_help_flips": "One block at a time has its gates switched: the answers that change, in %. Choose a block.",
    "not_switched": "This survey switched no gates (aia survey --ablate does). Choose a block.",
    "no_blocks": "This network has no gates, so a survey of it has no blocks to show.",
    "modes_title": "Gates switched",
    "modes": {"mean": "held at their mean", "identity": "wide open", "shuffle": "shuffled over the frames"},
    "block": "Block",
    "change": "Change, points",
    "flips": "Changed, %",
    "separating": "Channels*",
    "right_less_wrong": "Right − wrong",
    "unknown": "–",
    "blocks_columns": (
        "Channels*: how many separate the classes significantly. Right − wrong: mean gate of right answers less that of wrong "
        "ones of the same class."
    ),
    "block_title": "Block {number} of {count} ({block})",
    "channels_title": "Which channels open for which class",
    "channels_help": (
        "Mean gate less the mean of all classes; red is more open. {separating} of {channels} channels separate the classes "
        "significantly (*: q ≤ {level}). The best ones come first."
    ),
    "channel": "Channel",
    "channel_head": "Channel {channel}: eta squared {eta}, by chance {chance}, q {q}",
    "more_channels": "More channels",
    "profiles_title": "When the gate opens",
    "profiles_help": "Mean gate in each frame, with its 95 % band. Dashed: all clips. One scale for all classes.",
    "ends_title": "Clips at both ends",
    "ends_help": "The clips whose mean gate is lowest and highest in this block.",
    "lowest": "Least open",
    "highest": "Most open",
    "more": "more than the mean of the classes",
    "less": "less than the mean of the classes",
    "clips": ("1 clip", "{count} clips"),
    "said_channel": "channel {channel} is open by {mean} on average, {difference}.",
    "said_channel_chance": "channel {channel} is open by {mean} on average, {difference}, which may be chance.",
    "said_class": "With this block's gates {mode}, accuracy changes by {change} points.",
    "said_clip": "{clip}",
    "said_flipped": "Choose a class or a cell, or see a clip that gets another answer without this block's gates.",
    "said_nothing": "Choose a class or a cell to see a clip of it.",
    "said_no_clips": "Choose a class or a cell to see its numbers. The clips themselves are not on this page.",
    "look_at": "Look at {clip}",
    "look_at_example": "Look at our example {example}",
    "nowhere": "The clips of this survey are not on this page, and it has no example of this class.",
    "clip_nowhere": "The clips of this survey are not on this page.",
    "no_model": "This page does not offer the model {model}, so it cannot show a clip with it.",
}
RECORD_SECONDS = 3
CLIP_BOX = {  # sentences of the clip box's own script
    "drop": "Upload a video, drop one here, or record one with your camera.",
    "formats": f"{FORMAT_NAMES}.",
    "drop_here": "or drop a video here",
    "choose": "Upload",
    "camera": "Camera",
    "clear": "Clear the clip",
    "uploading": "Uploading {name}",
    "progress": "How much is uploaded",
    "cancel": "Cancel",
    "failed": "The upload failed: check your connection and try again.",
    "no_server": "The server does not answer: wait a moment, then upload your clip again.",
    "too_large": TOO_LARGE_CLIP,
    "unplayable": "Your browser cannot play {name}. If the page can read it, the viewer shows its frames.",
    "preview": "Picture of the camera",
    "mirrored": "Mirrored, as you see yourself. The network gets what you see here.",
    "straight": "Not mirrored. The network gets what you see here.",
    "how": f"Press Record, wait for the countdown, then move. The recording ends by itself after {RECORD_SECONDS} s.",
    "rear": "Rear camera",
    "record": f"Record {RECORD_SECONDS} s",
    "stop": "Stop",
    "off": "Close",
    "waiting": "Waiting for the camera: your browser may ask you to allow it.",
    "recording": "Recording",
    "refused": "The camera is blocked: allow it for this page in your browser, or upload a clip.",
    "missing": "No camera was found: connect one, or upload a clip.",
    "in_use": "The camera could not be started: close other programs that use it, or upload a clip.",
    "insecure": "The camera works only on secure pages: open this page by https or on its own machine, or upload a clip.",
    "unsupported": "This browser cannot record a camera: use a current one, or upload a clip.",
    "ended": "The camera stopped by itself: connect or allow it again, or upload a clip.",
    "hidden": "The camera was turned off while this page was hidden: press Camera to go on.",
}
LIVE_MINUTES = how_long(limits.LIVE_SECONDS)
LIVE_FULL = f"All {limits.LIVE_SESSIONS} places in Live are taken: try again in a minute, or record a clip in Look."
LIVE_OVER = f"Live ends after {LIVE_MINUTES}: press Start to go on."
LIVE_GONE = "The server has ended this session: press Start to go on."
BAD_FRAMES = "The server did not understand the camera's pictures: reload the page and press Start."
NO_MOMENT = "There is no moment to look at yet: wait until the first label appears."
TOO_MANY_MOMENTS = "Live has kept as many moments as it may: press Stop and Start to go on."
LIVE_BUSY = "The server is still working on the previous picture: wait a moment."
LIVE: dict[str, Any] = {  # sentences of the script of Live
    "invite": "Move, and watch the gates respond.",
    "how": (
        "Draw a swipe, a circle or a star in the air with one finger, or turn the camera. The last seconds go through the "
        "network again and again."
    ),
    "privacy": (
        "Pictures go to this server while the camera is on. They stay in memory for seconds and are never written to disk. "
        f"“Look at this moment” keeps that moment like an uploaded clip, for about {KEPT_FOR}. Live ends after "
        f"{LIVE_MINUTES}, and when you leave this tab."
    ),
    "start": "Start the camera",
    "stop": "Stop",
    "rear": "Rear camera",
    "look": "Look at this moment",
    "by_itself": "Look automatically once a label is confident",
    "camera": "Picture of the camera under the gate",
    "model": "Model",
    "block": "Block",
    "window": "Window",
    "seconds": "{seconds} s",
    "ask": "What each group of models says",
    "film": "What the network saw, the oldest first, each with its mean gate",
    "bars": "Mean gate of each channel",
    "channels": "Channels",
    "history": "Recognized so far",
    "nothing_said": "Confident labels appear here with their times.",
    "filling": "Filling the window",
    "waiting": CLIP_BOX["waiting"],
    "mirrored": CLIP_BOX["mirrored"],
    "straight": CLIP_BOX["straight"],
    "no_gates": "This model has no gates: it gives labels only. Choose one with AIA to see gates.",
    "rate": "{rate} windows/s",
    "refused": "The camera is blocked: allow it for this page in your browser, then press Start.",
    "missing": "No camera was found: connect one, then press Start.",
    "in_use": "The camera could not be started: close other programs that use it, then press Start.",
    "insecure": "The camera works only on secure pages: open this page by https or on its own machine.",
    "unsupported": "This browser does not support the camera: use a current one.",
    "ended": "The camera stopped by itself: connect or allow it again, then press Start.",
    "hidden": "Live stopped while this page was hidden: press Start to go on.",
    "left": "Live stopped when you left this tab: press Start to go on.",
    "lost": "The server does not answer: check your connection, then press Start.",
    "less": VIEWER["less"],
    "more": VIEWER["more"],
    "low": VIEWER["low"],
    "high": VIEWER["high"],
}
# Words for screen readers that Gradio has in no language: it would speak their keys.
GRADIO = {"common.complete": "Done", "status.queue_position": "Place {position} of {size} in the queue"}
STEP_READ, STEP_RUN, STEP_DRAW = "Reading the clip", "Running the network", "Drawing the gates"


def knows(labels: Sequence[str]) -> str:
    """The labels of a model, shown before the upload."""
    if not labels:
        return "This model's labels are shown once it is loaded."
    named = [label if len(label) <= 40 else f"{label[:39]}…" for label in labels[:14]]
    shown = ", ".join(named) + (f" and {len(labels) - 14} more" if len(labels) > 14 else "")
    return f"This model knows {len(labels)} label{'s' * (len(labels) > 1)}: {shown}."


def knows_of(task: str) -> str:
    """What a group knows."""
    return f"{GROUPS[task].title}: {GROUPS[task].sentence}"


def headline(inspection: Inspection) -> tuple[str, str]:
    """The model's answer, and a sentence on its confidence."""
    best, limit = percent(float(inspection.probabilities.max())), percent(inspection.config.threshold)
    none, known = inspection.config.none_label, _what_it_knows(inspection.config)
    if not inspection.is_confident:
        needed = f"{best} confident (below {limit} it says that it does not know)"
        if inspection.label == none:
            return (
                UNKNOWN,
                f"It cannot tell whether the clip shows one of its {known}. The closest label is “{none}”: {needed}",
            )
        return UNKNOWN, f"Probably none of its {known}. The closest is “{inspection.label}”: {needed}"
    if inspection.label == none:
        gates = " The gates still work: see where and when they open." if inspection.blocks else ""
        return inspection.label, (
            f"An answer, not an error: the clip shows none of this model's {len(inspection.labels) - 1} {known}.{gates}"
        )
    if inspection.config.threshold == 0:
        return inspection.label, (
            f"The most probable of its {len(inspection.labels)} labels. This model has no measured threshold, so it never says "
            "that it does not know."
        )
    return inspection.label, f"{best} confident (below {limit} it says that it does not know)"


def _what_it_knows(config: AIAConfig) -> str:
    """What a network's labels are, in the plural."""
    if config.task in GROUPS:
        return GROUPS[config.task].what
    return "gestures" if config.none_label == NO_GESTURE else "labels"


def card(answer: Prediction | AIAError) -> tuple[str, str, bool]:
    """What a group's card says: an answer, how probable it is, and whether the model knows the clip."""
    if isinstance(answer, AIAError):
        return NO_ANSWER, "", False
    says = answer.label if answer.is_confident else NOT_SURE.format(label=answer.label)
    return says, f"{100 * answer.probabilities.max():.0f} %", answer.knows_clip


def entry_of_group(task: str, entry: str) -> str:
    """A menu's entry of a model, after the title of its group."""
    return f"{_group(task)} · {entry}"


def _group(task: str) -> str:
    return GROUPS[task].title if task in GROUPS else OTHER_GROUP


def hub_entry(model: HubModel) -> str:
    """A model of the Hub in the menu: its name, its task, its size and its likes, as far as known."""
    size = f"{model.parameters / 1e6:.1f} million parameters" if model.parameters else ""
    likes = f"{model.likes:,} like{'s' * (model.likes != 1)}"
    return f"Hub · {model.name} ({', '.join(filter(None, (model.task, size, likes)))})"


def model_entry(config: AIAConfig, name: str) -> str:
    """A shipped model in the menu: its network, and what it is good for."""
    return f"{network_words(config)}: {MODEL_USES[name]}" if name in MODEL_USES else network_words(config)


def network_words(config: AIAConfig) -> str:
    """A network in a few words, such as "TSM + CinST"."""
    temporal = config.temporal.upper()
    if config.attention == "none":
        return f"{temporal}, no gates"
    return f"{temporal} + {ATTENTION_SETTINGS[config.attention].title}"


def runner_up(inspection: Inspection) -> str:
    """The second label, or all labels if they are asked for."""
    names = list(inspection.scores.items())
    return f"next: {names[1][0]}, {percent(names[1][1])}" if len(names) > 1 else "all labels"


def with_gates_held(inspection: Inspection, held: Prediction) -> str:
    """The answers with the gates and with all gates at their mean."""
    return f"With its gates: {side_says(inspection)}. With them held at their mean: {side_says(held)}."


def percent(p: float) -> str:
    """A probability in words."""
    return "< 0.1 %" if p < 0.001 else f"{100 * p:.1f} %"


def where_choices(inspection: Inspection) -> list[tuple[str, str]]:
    """Choices of the menu of blocks: all, those of one size together, and each alone."""
    stages: dict[tuple[int, ...], list[str]] = {}
    for block in inspection.blocks:
        stages.setdefault(block.shape[2:], []).append(block.name)
    groups = [
        (f"{rows}×{columns}: {names[0]} to {names[-1]}", ",".join(names))
        for (rows, columns), names in stages.items()
        if len(names) > 1
    ]
    return [(ALL_BLOCKS, "*"), *groups, *((block.name, block.name) for block in inspection.blocks)]


def side_title(result: Result) -> str:
    """A result's network and switches in a few words."""
    parts = [network_words(result.inspection.config), *(["backwards"] if result.backwards else [])]
    if result.switches:
        mode = {"mean": "held at their mean", "identity": "wide open", "shuffle": "shuffled"}[result.switches[0].mode]
        units = list(dict.fromkeys(switch.unit for switch in result.switches))
        blocks = list(dict.fromkeys(switch.block for switch in result.switches))
        which = "all gates" if units == ["*"] else " ".join(units)
        where = "" if blocks == ["*"] else f" of {blocks[0]}" + (f" to {blocks[-1]}" if len(blocks) > 1 else "")
        parts.append(f"{which}{where} {mode}")
    return ", ".join(parts)


def side_titles(a: Result, b: Result) -> tuple[str, str]:
    """The titles of two sides. If they are of two models, each begins with what tells these apart, if the rest does not."""
    titles = side_title(a), side_title(b)
    groups = [_group(side.inspection.config.task) for side in (a, b)]
    if groups[0] != groups[1]:
        return f"{groups[0]} · {titles[0]}", f"{groups[1]} · {titles[1]}"
    if a.model == b.model or titles[0] != titles[1]:
        return titles
    names = [PurePath(side.model).name or side.model for side in (a, b)]
    first, second = names if names[0] != names[1] else (a.model, b.model)
    return f"{first} · {titles[0]}", f"{second} · {titles[1]}"


def side_says(inspection: Prediction) -> str:
    """The answer and its probability; below the threshold also that it is only the closest label."""
    caveat = "" if inspection.is_confident else "does not know; closest: "
    return f"{caveat}{inspection.label}, {percent(float(inspection.probabilities.max()))}"


def what_changed(before: Inspection, after: Inspection, title: str) -> str:
    """One sentence on how switching gates changed the answer."""
    was, now = _says(before), _says(after)
    if was == now:
        old, new = (percent(side.scores[before.label]) for side in (before, after))
        return f"{title}: it still says {now}, with {new} instead of {old} for “{before.label}”."
    return f"{title}: it says {now} instead of {was}."


def _says(inspection: Inspection) -> str:
    return (
        f"“{inspection.label}”" if inspection.is_confident else f"that it does not know (closest: “{inspection.label}”)"
    )


def ranked(ranking: Ranking, number: Mapping[str, int]) -> str:
    """A ranking in words."""
    first = ranking.effects[0]
    mode = {"mean": "held at their mean", "identity": "wide open", "shuffle": "shuffled"}[ranking.mode]
    changed = [numbered(effect.block, number) for effect in ranking.effects if effect.label != ranking.label]
    blocks = "block" if len(changed) == 1 else "blocks"
    flips = f" The answer changes at {blocks} {_few(changed)}." if changed else " No block alone changes the answer."
    return (
        f"One block at a time with its gates {mode}: the score of “{ranking.label}” changes most at "
        f"block {numbered(first.block, number)}: {signed(first.logit_delta)}.{flips}"
    )


def numbered(block: str, number: Mapping[str, int]) -> str:
    """A block's number in its network, and its name."""
    return f"{number[block]} ({block})"


def signed(value: float) -> str:
    """A change, with its sign."""
    return f"{value:+.2f}".replace("-", "−")


def _few(names: Sequence[str]) -> str:
    *others, last = names if len(names) <= 4 else [*names[:4], f"{len(names) - 4} more"]
    return f"{', '.join(others)} and {last}" if others else last


def compared(a: Result, b: Result) -> str:
    """One sentence that compares two results."""
    answer_a, answer_b = _says(a.inspection), _says(b.inspection)
    if b.model == a.model and b.backwards and b.video == a.video:
        if a.inspection.config.blind_to_order:
            return (
                "Forwards or backwards, this network gives the same prediction: it averages single frames and is blind to "
                "their order. Compare with a model with TSM or AIA."
            )
        if answer_a == answer_b:
            return f"Backwards it still says {answer_a}: the clip means the same backwards, or it missed the order."
        return f"Forwards it says {answer_a}, backwards {answer_b}: this network notices the order of the frames."
    if a.inspection.labels != b.inspection.labels:
        return "The two models know different labels, so their probabilities cannot be compared with each other."
    both = " Model and clip both differ here: change one at a time to see its effect." if _two_differ(a, b) else ""
    return (f"Both say {answer_a}." if answer_a == answer_b else f"A says {answer_a}, B says {answer_b}.") + both


def _two_differ(a: Result, b: Result) -> bool:
    return a.model != b.model and (a.video, a.backwards) != (b.video, b.backwards)


def run_details(inspection: Inspection) -> str:
    """Network, frames, duration and device of a run."""
    clip, milliseconds = inspection.clip, 1000 * inspection.seconds["forward"]
    return (
        f"{inspection.title} · {len(set(clip.indices.tolist()))} of {clip.num_frames} frames, {clip.duration:.1f} s · "
        f"{milliseconds:.0f} ms on {device_words(inspection.device)} in {inspection.precision}"
    )


def device_words(device: str) -> str:
    """A torch device in words."""
    return {"cpu": "the CPU", "mps": "the Apple GPU"}.get(device.split(":")[0], "the GPU")
