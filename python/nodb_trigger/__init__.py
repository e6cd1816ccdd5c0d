"""The program nodb-trigger, and a pytest plugin that probes lock functions with it."""

from .process import program

__all__ = ["program"]
