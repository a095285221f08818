"""Frozen pretrained weights, which a checkpoint references by name instead of storing them."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor

from hrda_lit.networks.backbone import Backbone

KEY = "hrda_lit_encoder"  # of a checkpoint
_FIELDS = ("name", "weights", "fingerprint")
# A gigabyte takes seconds, at every save.
_fingerprints: WeakKeyDictionary[Backbone, tuple[list[tuple[str, int, int]], str]] = WeakKeyDictionary()


def list_pretrained(backbone: Backbone) -> list[str]:
    """List the names of frozen pretrained weights in the encoder's state; empty if all is trained."""
    if backbone.tune == "full":
        return []
    learned = {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    if backbone.tune == "lora":
        learned.update(name for name, _ in backbone.named_buffers())
    return [name for name in backbone.state_dict() if name not in learned]


def compute_fingerprint(backbone: Backbone) -> str:
    """Compute a checksum of the frozen weights; cached until something writes into them."""
    state = backbone.state_dict()
    weights = {name: state[name] for name in list_pretrained(backbone)}
    versions = []
    if not any(weight.is_inference() for weight in weights.values()):  # inference tensors have no version counter
        versions = [(name, weight.data_ptr(), weight._version) for name, weight in weights.items()]
    before, digest = _fingerprints.get(backbone, ([], ""))
    if versions != before or not versions:
        checksum = hashlib.sha256()
        for name, weight in weights.items():
            checksum.update(name.encode())
            checksum.update(weight.cpu().contiguous().numpy().tobytes())
        digest = checksum.hexdigest()
        _fingerprints[backbone] = versions, digest
    return digest


def remove_pretrained_(
    checkpoint: dict[str, Any], backbone: Backbone, networks: Iterable[str] = ("student", "teacher")
) -> None:
    """Replace the pretrained weights of these networks in a checkpoint by a reference to them, in place."""
    names = list_pretrained(backbone) if backbone.pretrained else []
    if not names:
        return
    values = (backbone.name, str(backbone.weights), compute_fingerprint(backbone))
    checkpoint[KEY] = dict(zip(_FIELDS, values, strict=True))
    for network in networks:
        for name in names:
            checkpoint["state_dict"].pop(f"{network}.backbone.{name}", None)


def restore_pretrained_(
    state: dict[str, Tensor], checkpoint: Mapping[str, Any], backbone: Backbone, prefix: str, what: str
) -> None:
    """Restore the pretrained weights that a checkpoint references.

    Args:
        state: state dict of a network, changed in place.
        checkpoint: all entries of the file; without a reference, nothing is done.
        backbone: encoder with the weights loaded.
        prefix: prefix of the encoder's names in `state`.
        what: name of the file in errors.

    Raises:
        ValueError: if these are other weights than the checkpoint was trained on.
    """
    note = read_reference(checkpoint, what)
    if note is None:
        return
    if not backbone.pretrained or compute_fingerprint(backbone) != note["fingerprint"]:
        raise ValueError(
            f"{what} holds what was trained on top of {note['name']} with the weights {note['weights']}, and got "
            f"{backbone.weights if backbone.pretrained else 'none'}, which are others; give the same file as weights."
        )
    own = backbone.state_dict()
    state.update({prefix + name: own[name] for name in list_pretrained(backbone)})


def read_reference(checkpoint: Mapping[str, Any], what: str) -> dict[str, str] | None:
    """Read the reference to pretrained weights: `name`, `weights`, `fingerprint`; None if there is none.

    Raises:
        ValueError: if the entry is damaged.
    """
    note = checkpoint.get(KEY)
    if note is None:
        return None
    if not isinstance(note, dict) or not all(isinstance(note.get(field), str) for field in _FIELDS):
        raise ValueError(f"{what} does not say which pretrained weights it needs; give a checkpoint as it was written.")
    return {field: note[field] for field in _FIELDS}
