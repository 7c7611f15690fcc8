"""Recording the gates of a network on a clip, and measuring what they do for its prediction."""

from aia import _moved

# The names of the module that this package was.
__getattr__ = _moved.renamed(
    __name__,
    {
        "Answer": "aia.inspection.inspection:Prediction",
        "BlockGates": "aia.inspection.gates:BlockGates",
        "FLAT_SPREAD": "aia.inspection.gates:FLAT_SPREAD",
        "Highlights": "aia.inspection.gates:Highlights",
        "Inspection": "aia.inspection.inspection:Inspection",
        "inspect": "aia.inspection.inspection:inspect",
        "probabilities": "aia.inspection.inspection:probabilities",
    },
)
