"""Files as sources: decoded where they are asked for, one frame after the other."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from typing import Any

from .._core import message
from .._operator import operator
from ..errors import MediaError
from ._decode import Decoder
from ._frames import about, planes_of
from ._open import open_video, reason
from ._where import Place, places_of


@operator
def read_file(*, path: Place | str, max_pixels: int, native: bool) -> Generator[Any, None, None]:
    """The planes of each frame; ``message()`` is told its time and metadata. Warns once of what is missing."""
    (place,) = [path] if isinstance(path, Place) else places_of(path)
    container, stream = open_video(place, max_pixels)
    with container:
        decoder = Decoder(container, stream)
        time = 0.0
        for frame in decoder:
            time = frame.time if frame.time is not None else time + (decoder.step if decoder.frames > 1 else 0)
            format, planes = planes_of(frame, native)
            told = message()
            told.time = time
            told.metadata.update(about(frame, format, decoder.rate))
            del frame
            yield planes
        if decoder.frames == 0:
            why = f": {reason(decoder.error)}" if decoder.error is not None else ""
            raise MediaError(
                f"source: {place.shown} has no frame in it that can be decoded, or only frames above {max_pixels} "
                f"pixels (max_pixels= or PENSTOCK_MAX_PIXELS raises that limit){why}"
            )
        complaint = decoder.complaint()
        if complaint is not None:
            warnings.warn(f"source: {place.shown}: {complaint}", stacklevel=1)
