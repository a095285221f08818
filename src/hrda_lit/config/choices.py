"""The choices of conf/ by name, outside of a command: `inference="whole"` from Python."""

from importlib.resources import files

from omegaconf import DictConfig, OmegaConf

from hrda_lit.config.nodes import ConfigError


def read_choice(group: str, name: str) -> DictConfig:
    """Read the config that `group=name` chooses on a command line; what it chooses in turn stays open.

    Raises:
        ConfigError: if there is no such choice.
    """
    folder = files("hrda_lit.conf") / group
    choices = sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    if name not in choices:
        raise ConfigError(f"{group}={name}: expected one of {choices}.")
    config = OmegaConf.create((folder / f"{name}.yaml").read_text())
    assert isinstance(config, DictConfig)
    config.pop("defaults", None)
    return config
