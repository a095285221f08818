"""Two drawn domains in the layout of GTA and Cityscapes, so that every command runs without a download."""

from hrda_lit.demo.write import render_demo

__all__ = ["render_demo"]
