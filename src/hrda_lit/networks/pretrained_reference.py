"""Pretrained weights that training leaves as they are: a checkpoint names them and does not hold them."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor

from hrda_lit.networks.backbone import Backbone

KEY = "hrda_lit_encoder"  # of a checkpoint
_FIELDS = ("name", "weights", "fingerprint")
# A gigabyte takes seconds, and is asked for at every save.
_fingerprints: WeakKeyDictionary[Backbone, tuple[list[tuple[str, int, int]], str]] = WeakKeyDictionary()


def untouched(backbone: Backbone) -> list[str]:
    """List what training leaves as it is, in the names of the encoder's state; nothing if all is learned."""
    if backbone.tune == "full":
        return []
    learned = {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    learned |= set() if backbone.tune == "frozen" else {name for name, _ in backbone.named_buffers()}
    return [name for name in backbone.state_dict() if name not in learned]


def fingerprint(backbone: Backbone) -> str:
    """Return a checksum of what training leaves as it is; read again only where something wrote into it."""
    state = backbone.state_dict()
    names = untouched(backbone)
    counted = not any(state[name].is_inference() for name in names)  # of those, nobody counts what is written
    versions = [(name, state[name].data_ptr(), state[name]._version) for name in names if counted]
    before, digest = _fingerprints.get(backbone, ([], ""))
    if versions != before or not versions:
        made = hashlib.sha256()
        for name in names:
            made.update(name.encode())
            made.update(state[name].cpu().contiguous().numpy().tobytes())
        digest = made.hexdigest()
        _fingerprints[backbone] = versions, digest
    return digest


def leave_out_(
    checkpoint: dict[str, Any], backbone: Backbone, networks: Iterable[str] = ("student", "teacher")
) -> None:
    """Take the pretrained weights out of a checkpoint and name them; without any, it stays as it is.

    Args:
        checkpoint: with its `state_dict`, changed in place.
        backbone: of the student.
        networks: whose encoders have these weights.
    """
    names = untouched(backbone) if backbone.pretrained else []
    if names:
        values = (backbone.name, str(backbone.weights), fingerprint(backbone))
        checkpoint[KEY] = dict(zip(_FIELDS, values, strict=True))
    for network in networks:
        for name in names:
            checkpoint["state_dict"].pop(f"{network}.backbone.{name}", None)


def fill_in_(
    state: dict[str, Tensor], checkpoint: Mapping[str, Any], backbone: Backbone, prefix: str, what: str
) -> None:
    """Put the pretrained weights back that a checkpoint names.

    Args:
        state: of a network, changed in place.
        checkpoint: what else the file holds; without a name of weights, nothing is done.
        backbone: with the weights loaded.
        prefix: of the encoder's names in `state`.
        what: what errors call the file.

    Raises:
        ValueError: if these are other weights than the checkpoint was trained on.
    """
    note = named_weights(checkpoint, what)
    if note is None:
        return
    if not backbone.pretrained or fingerprint(backbone) != note["fingerprint"]:
        raise ValueError(
            f"{what} holds what was trained on top of {note['name']} with the weights {note['weights']}, and got "
            f"{backbone.weights if backbone.pretrained else 'none'}, which are others; give the same file as weights."
        )
    own = backbone.state_dict()
    state.update({prefix + name: own[name] for name in untouched(backbone)})


def named_weights(checkpoint: Mapping[str, Any], what: str) -> dict[str, str] | None:
    """Return which pretrained weights a checkpoint names: `name`, `weights`, `fingerprint`; None if it needs none.

    Raises:
        ValueError: if the entry is damaged.
    """
    note = checkpoint.get(KEY)
    if note is None:
        return None
    if not isinstance(note, dict) or not all(isinstance(note.get(field), str) for field in _FIELDS):
        raise ValueError(
            f"{what} does not tell which pretrained weights it needs; give a checkpoint as it was written."
        )
    return {field: note[field] for field in _FIELDS}
