"""Options of an encoder, when the command line names another one."""

import re
from collections.abc import Sequence

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from hrda_lit.config.explain import compose_config

_NAME = re.compile(r"network\.backbone\.name=[\w.-]+")
_OPTIONS = "network.backbone.options"


def drop_options(config_name: str, arguments: Sequence[str]) -> list[str]:
    """Return overrides that remove the options which an encoder brought, where another one is named.

    Drop rates stay, and so does the output stride for another encoder of the same family: `resnet101c` for
    `resnet50c`. Where the command line sets options itself, all stay.

    Args:
        config_name: name of the command's tree, e.g. "train".
        arguments: command line.
    """
    named = [text.partition("=")[2] for text in arguments if _NAME.fullmatch(text)]
    if not named or any(text.lstrip("+~").startswith(_OPTIONS) for text in arguments):
        return []
    backbone = _compose(config_name, [text for text in arguments if not _NAME.fullmatch(text)])
    options = OmegaConf.select(backbone, "options") or {}
    kept = {"output_stride"} if _family(named[-1]) == _family(str(backbone.get("name"))) else set()
    return [f"~{_OPTIONS}.{key}" for key in options if not key.endswith("_rate") and key not in kept]


def _family(name: str) -> str:
    found = re.match(r"[a-z]+", name)
    return found[0] if found else name


def _compose(config_name: str, arguments: Sequence[str]) -> DictConfig:
    """Compose the encoder; an empty one where the arguments do not compose; Hydra reports it afterwards."""
    before = GlobalHydra.instance().hydra
    try:
        backbone = OmegaConf.select(compose_config(config_name, arguments), "network.backbone")
    except Exception:  # Hydra says the same afterwards, and why
        backbone = None
    finally:
        GlobalHydra.instance().hydra = before
    return backbone if isinstance(backbone, DictConfig) else DictConfig({})
