"""The look of the SVG: sizes of text, and colours for light and dark pages that colour-blind people tell apart."""

from __future__ import annotations

import unicodedata

# Letters of one width, so that a box is as wide as its text whatever font there is.
WIDE = 0.61
NAME, NOTE, PORT = 13.0, 11.0, 10.0

STYLE = """
.ps{--paper:#fff;--ink:#1b2733;--soft:#44515d;--line:#7b8a97;--rim:#9aa8b4;--s0:#eef3f8;--s1:#d3e4f5;--s2:#f8edc8;
--s3:#fcdfae;--s4:#f9c38a;--bar:#1f6fb2;--hot:#9a3500;--pill:#fff}
@media (prefers-color-scheme:dark){.ps{--paper:#12171d;--ink:#e8eef4;--soft:#b6c2cd;--line:#7d8c99;--rim:#566472;
--s0:#1d252e;--s1:#1d354d;--s2:#46401f;--s3:#5a4116;--s4:#6b3a10;--bar:#6db6f2;--hot:#ffb072;--pill:#1a212a}}
.ps text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;text-anchor:middle;
fill:var(--ink)}
.ps .paper{fill:var(--paper)}
.ps .name{font-size:13px;font-weight:600}
.ps .note{font-size:11px;fill:var(--soft)}
.ps .port{font-size:10px;fill:var(--soft)}
.ps .box rect{stroke:var(--rim);stroke-width:1.2}
.ps .s0{fill:var(--s0)}.ps .s1{fill:var(--s1)}.ps .s2{fill:var(--s2)}.ps .s3{fill:var(--s3)}.ps .s4{fill:var(--s4)}
.ps .box .bar{fill:var(--bar);stroke:none}
.ps .hot .rim{stroke:var(--hot);stroke-width:3}
.ps .hot .bar{fill:var(--hot)}
.ps .hot .mark{fill:var(--hot);font-weight:700}
.ps .way{fill:none;stroke:var(--line);stroke-width:1.4}
.ps .drops{stroke-dasharray:5 3}
.ps .head{fill:var(--line)}
.ps .loss .way{stroke:var(--hot)}.ps .loss .head{fill:var(--hot)}
.ps .pill rect{fill:var(--pill);stroke:var(--rim);stroke-width:.8}
.ps .pill text{font-size:10px}
.ps .pill.loss rect{stroke:var(--hot)}
"""


def letters(text: str) -> int:
    """How many columns it takes."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else not unicodedata.combining(one) for one in text)


def width_of(text: str, size: float) -> float:
    return letters(text) * WIDE * size


def shortened(text: str, most: int) -> str:
    """With an ellipsis in its middle if it takes more columns than that."""
    text = " ".join(text.split())
    if letters(text) <= most:
        return text
    head, tail = text, text
    while letters(head) > (most - 1) * 2 // 3:
        head = head[:-1]
    while letters(tail) > most - 1 - letters(head):
        tail = tail[1:]
    return f"{head}…{tail}"


def lines_of(parts: list[str], most: int) -> list[str]:
    """The parts with dots between them, in lines of so many columns."""
    lines: list[str] = []
    for part in (shortened(part, most) for part in parts):
        if lines and letters(lines[-1]) + 3 + letters(part) <= most:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return lines
