"""Whether the PyAV that is installed will do."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from ..errors import MediaError

_OLDEST = 18  # planes by DLPack in all formats


def need_pyav(who: str) -> None:
    """MediaError if there is none, or it is too old. It is not imported for that."""
    try:
        found = version("av")
    except PackageNotFoundError:
        raise MediaError(f'{who}: needs PyAV, which is not installed: pip install "penstock[video]"') from None
    if int(found.partition(".")[0]) < _OLDEST:
        raise MediaError(
            f'{who}: needs PyAV {_OLDEST} or newer, found {found}: pip install --upgrade "penstock[video]"'
        )
