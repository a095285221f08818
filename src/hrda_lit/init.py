"""Propose an experiment for two folders of images: `python -m hrda_lit.init source=day target=dusk out=mine`."""

from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from hrda_lit.runs.commands import command

if TYPE_CHECKING:
    from pathlib import Path

    from hrda_lit.inspecting.data_check import Findings
    from hrda_lit.proposal.propose import Proposal


def init(config: DictConfig) -> "Path":
    """Measure the data, choose, write YAML files, and check that a training can start with them.

    Args:
        config: the composed tree of conf/init.yaml.

    Returns:
        The folder that was made.

    Raises:
        ValueError: if a key does not fit, something is ambiguous, or training could not start.
        FileExistsError: if the folder is there already.
        FileNotFoundError: if images are missing.
    """
    # Imported here, so that --help need not wait for torch.
    import shutil
    from pathlib import Path

    from hrda_lit.proposal.propose import propose, write
    from hrda_lit.schema.check import check_init

    check_init(config)
    keys: dict[str, Any] = {str(key): value for key, value in OmegaConf.to_object(config).items()}  # type: ignore[union-attr]
    out = Path(keys["out"]).expanduser().absolute()
    if out.exists():
        raise FileExistsError(f"out={keys['out']} is there already; give another folder, or remove it.")
    made = out.with_name(f".{out.name}.part")
    shutil.rmtree(made, ignore_errors=True)
    proposal = propose(keys)
    try:
        write(proposal, made, out)
        findings = _check(proposal, made)
        findings.require()
        made.rename(out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    _show(proposal, findings, out)
    return out


def _check(proposal: "Proposal", made: "Path") -> "Findings":
    """Check keys and data as a training does before its first step."""
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    from hrda_lit import build
    from hrda_lit.inspecting.data_check import DataCheck, check_data
    from hrda_lit.schema.check import check_train

    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module("hrda_lit.conf", version_base="1.3"):
            for kind in proposal.kinds:
                words = [f"experiment={proposal.name}_{kind}", "run_dir=.", f'hydra.searchpath=["file://{made}"]']
                config = compose("train", words)
                for role in ("source", "target", "val"):
                    if config.get(role) is not None:
                        config[role].root = str(made / "data" / config[role].name)
                check_train(config)
                if kind == "hrda":
                    method = build.build_method(config, build.build_dataset(config.source, "source").classes)
                    parts = build.build_datamodule(config, method.needs_target).data_splits()
                    check = DataCheck.of(config)
                    assert check is not None
                    findings = check_data(parts, check)
    finally:
        GlobalHydra.instance().hydra = before
    return findings


def _show(proposal: "Proposal", findings: "Findings", out: "Path") -> None:
    import shlex

    from hrda_lit.system.text import PlainConsole

    console = PlainConsole(soft_wrap=True)
    for line in proposal.summary():
        console.print(line)
    for text in findings.warnings:
        console.print(f"warning: {text}")
    console.print(f"{out} holds these files, with the reason of each number beside it. What comes next:")
    folder = shlex.quote(str(out))
    first, *others = [f"{proposal.name}_{kind}" for kind in proposal.kinds]
    console.print(f"  python -m hrda_lit.inspect experiment={proposal.name}_hrda --config-dir {folder}")
    for experiment in (first, *others):
        console.print(f"  python -m hrda_lit.train experiment={experiment} --config-dir {folder}")
    console.print(f"  python -m hrda_lit.scripts.results_table {' '.join(f'outputs/{e}' for e in (first, *others))}")


@command("init")
def main(config: DictConfig) -> None:
    """Run `init`."""
    init(config)


if __name__ == "__main__":
    main()
