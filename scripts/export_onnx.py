"""Export a trained network to ONNX (.onnx) or torch.export (.pt2), and compare it with what it came from.

    python scripts/export_onnx.py last.ckpt hrda.onnx                          # images of the size of a training crop
    python scripts/export_onnx.py last.ckpt hrda.onnx --size 1024 2048         # of another size
    python scripts/export_onnx.py last.ckpt hrda.onnx --dynamic batch size     # of any size, any number at once
    python scripts/export_onnx.py last.ckpt hrda.onnx --ids                    # class ids instead of logits

The graph takes `image`, B x 3 x H x W, RGB in [0, 1], and returns `logits`, B x classes x H x W, or with --ids `ids`,
B x H x W, train ids as uint8. Normalisation, windows and fusion are inside; names and colours of the classes are in
the file's metadata.
"""

import argparse

from hrda_lit.system.errors import exit_on_errors


@exit_on_errors()
def main() -> None:
    """Read the command line, export, and say what was measured."""
    arguments = _parser().parse_args()
    # Imported here, so that --help need not wait for torch.
    from hrda_lit.exchange.export import export

    size = None if arguments.size is None else (arguments.size[0], arguments.size[1])
    print(export(**{**vars(arguments), "size": size}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="of hrda_lit.train, or converted by convert_checkpoint.py")
    parser.add_argument("output", help="the file to write, .onnx or .pt2")
    parser.add_argument("--model", choices=("student", "teacher"), help="(default: the one that training validated)")
    parser.add_argument(
        "--size",
        nargs=2,
        type=int,
        metavar=("HEIGHT", "WIDTH"),
        help="of the image in pixels, shrunk by s_T for a low-resolution network (default: that of a training crop)",
    )
    parser.add_argument(
        "--dynamic",
        nargs="+",
        choices=("batch", "size"),
        default=[],
        help="what may differ later: the number of images, their size, or both (default: neither)",
    )
    parser.add_argument("--ids", action="store_true", help="return class ids (uint8) instead of logits")
    parser.add_argument("--whole", action="store_true", help="predict at once where the checkpoint slides a window")
    return parser


if __name__ == "__main__":
    main()
