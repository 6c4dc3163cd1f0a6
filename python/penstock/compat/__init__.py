"""The words of other libraries: ``from holoscan.core import …`` becomes ``from penstock.compat.holoscan.core import …``.

Nothing of Penstock imports this package.
"""
