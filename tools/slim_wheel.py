"""Makes a wheel smaller for one Python and one GPU: `python tools/slim_wheel.py WHEEL --python 3.12 --sm 90`.

Extension modules of other Pythons are left out. In libraries of more than 10 MB, code for other GPUs and the symbols
that only a debugger reads become zeros, which compress to nothing; the rest stays as it is, byte by byte. For carrying
a peer of the benchmarks to a machine without a network; the wheel is for that machine alone.
"""

from __future__ import annotations

import argparse
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

FATBIN_MAGIC = 0xBA55ED50
FATBIN_HEADER = struct.Struct("<IHHQ")  # magic, version, size of this header, size of what follows
ENTRY_HEADER = struct.Struct("<HHIQIIHHI")  # kind, ?, size of this header, size of the code, ?, ?, minor, major, sm
KIND_MACHINE_CODE = 2
LARGE_BYTES = 10_000_000


def sections(elf: bytearray) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of each section of a 64-bit little-endian ELF file."""
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + i * size) for i in range(count)]
    names_at = headers[names][4]
    for name, _, _, _, offset, length in headers:
        begin = names_at + name
        yield elf[begin : elf.index(0, begin)].decode(), offset, length


def blank_fatbins(elf: bytearray, begin: int, end: int, sm: int) -> tuple[int, int]:
    """Blanks what is not machine code for sm; gives how many programs were kept and blanked."""
    kept = blanked = 0
    at = begin
    while at + FATBIN_HEADER.size <= end:
        magic, _, header_size, size = FATBIN_HEADER.unpack_from(elf, at)
        if magic != FATBIN_MAGIC:
            at += 8
            continue
        entry, at = at + header_size, at + header_size + size
        while entry < at:
            kind, _, header_size, code_size, _, _, _, _, of_sm = ENTRY_HEADER.unpack_from(elf, entry)
            if kind == KIND_MACHINE_CODE and of_sm == sm:
                kept += 1
            else:
                elf[entry + header_size : entry + header_size + code_size] = bytes(code_size)
                blanked += 1
            entry += header_size + code_size
    return kept, blanked


def slim_library(data: bytes, sm: int) -> bytes:
    elf = bytearray(data)
    for name, offset, size in sections(elf):
        if name == ".nv_fatbin":
            kept, blanked = blank_fatbins(elf, offset, offset + size, sm)
            print(f"  {kept} programs for sm_{sm} kept, {blanked} others blanked")
            if kept == 0:
                raise SystemExit(f"slim_wheel: there is no code for sm_{sm} in it")
        elif name in (".symtab", ".strtab"):
            elf[offset : offset + size] = bytes(size)
    return bytes(elf)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--python", default="3.12", help="the Python whose extension modules stay")
    parser.add_argument("--sm", type=int, default=90, help="the compute capability whose code stays")
    options = parser.parse_args()
    tag = f"cpython-{options.python.replace('.', '')}-"
    temporary = options.wheel.with_suffix(".slim")
    with zipfile.ZipFile(options.wheel) as wheel, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as slim:
        changed: set[str] = set()
        for entry in wheel.infolist():
            data = wheel.read(entry)
            if re.search(r"\.cpython-\d+t?-", entry.filename) and f".{tag}" not in entry.filename:
                changed.add(entry.filename)
                continue
            if data[:4] == b"\x7fELF" and len(data) > LARGE_BYTES:
                print(f"{entry.filename}: {len(data) / 1e6:.0f} MB")
                data = slim_library(data, options.sm)
                changed.add(entry.filename)
            if entry.filename.endswith(".dist-info/RECORD"):
                lines = data.decode().splitlines(keepends=True)
                data = "".join(line for line in lines if line.split(",")[0] not in changed).encode()
            slim.writestr(entry, data, compresslevel=9)
    before = options.wheel.stat().st_size
    temporary.replace(options.wheel)
    print(f"{options.wheel.name}: {before / 1e6:.1f} MB, now {options.wheel.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
