"""Save a trained network for the Hugging Face hub, or to hand on: safetensors, config and model card in a folder.

    python scripts/save_for_hub.py last.ckpt published --licence cc-by-nc-4.0
    python scripts/save_for_hub.py last.ckpt published --model student --metrics outputs/evaluate/<date>/metrics.json
    hf upload user/name published                                  # needs an account; then checkpoint=hf://user/name

The card shows the scores of the run if they are those of this very network, or those that --metrics names.
"""

import argparse

from hrda_lit.system.errors import exit_on_errors
from hrda_lit.system.progress import announce


@exit_on_errors()
def main() -> None:
    """Read the command line, save, and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="of hrda_lit.train")
    parser.add_argument("folder", help="where to write")
    parser.add_argument("--model", choices=("student", "teacher"), help="instead of the one that training validated")
    parser.add_argument("--metrics", help="metrics.json of an evaluation of this network")
    parser.add_argument("--licence", default="other", help="of the weights, in the hub's spelling")
    parser.add_argument("--weights", help="pretrained ones of an encoder that was frozen or adapted by LoRA")
    arguments = parser.parse_args()
    with announce(f"saving {arguments.checkpoint}"):
        # Imported here, so that --help need not wait for torch.
        from hrda_lit.exchange.publish import save_for_hub

        done = save_for_hub(**vars(arguments))
    print(done)


if __name__ == "__main__":
    main()
