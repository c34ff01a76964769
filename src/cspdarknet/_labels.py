"""The kinds of labels of a classifier: one class per image, any number, or ordered classes."""

from typing import Any

from cspdarknet._arguments import check_choice

LABELS = ("single", "multi", "ordinal")
SINGLE, MULTI, ORDINAL = LABELS
# What the kinds are, where they are not the usual one.
DESCRIPTIONS = {
    MULTI: "any number of classes per image",
    ORDINAL: "ordered classes, from low to high",
}
THRESHOLD = 0.5  # of a multi-label classifier that has no score threshold of its own


def check_labels(value: Any) -> str:
    """Accept a kind of labels.

    Raises:
        ValueError: if it is none of `LABELS`.
    """
    return str(check_choice("labels", value, LABELS))


def probability_activation(labels: str) -> str:
    """Return the name of the activation that turns logits into probabilities.

    Example:
        >>> probability_activation("multi"), probability_activation("ordinal")
        ('sigmoid', 'softmax')
    """
    return "sigmoid" if labels == MULTI else "softmax"
