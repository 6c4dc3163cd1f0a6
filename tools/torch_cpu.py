"""Installs PyTorch so that it runs on the CPU, without the 2 GB of GPU libraries it asks for.

The wheel of torch is linked against libraries (cuBLAS, cuDNN, ...) that it calls only on a GPU. For each of
them this writes a library of the same name and the same symbols, whose functions all return an error code,
into torch's own folder. For tests on machines without a GPU; never shipped. Does nothing where torch runs.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tempfile
from collections import defaultdict
from pathlib import Path

TORCH = "torch==2.15.0"
# The two that are small and that torch calls at import.
REAL = ["nvidia-cuda-runtime==13.2.86", "nvidia-cuda-cupti==13.2.86"]
ASKED = re.compile(r"lib(cu|nv|nccl)\w*\.so")
NOT_STUBBED = ("libcuda.so", "libcudart.so", "libcupti.so")
# Libraries that give their symbols no version are told by the names of their functions.
PREFIXES = {
    "cudnn": "libcudnn.so",
    "nccl": "libnccl.so",
    "cusparseLt": "libcusparseLt.so",
    "cuFile": "libcufile.so",
    "cufft": "libcufft.so",
    "nvrtc": "libnvrtc.so",
    "nvJitLink": "libnvJitLink.so",
    "nvshmem": "libnvshmem_host.so",
}
CHECK = """
import torch
a = torch.arange(12, dtype=torch.float32).reshape(3, 4)
assert float((a @ a.T).sum()) == 1134.0
assert tuple(torch.nn.functional.conv2d(torch.ones(1, 1, 5, 5), torch.ones(1, 1, 3, 3)).shape) == (1, 1, 3, 3)
assert torch.from_dlpack(a).data_ptr() == a.data_ptr()
print("torch", torch.__version__, "runs; CUDA:", torch.cuda.is_available())
"""


def say(text: str) -> None:
    print(text, flush=True)


def torch_runs() -> str | None:
    """None when torch imports and computes here, else the last line of what it said."""
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True)
    if done.returncode == 0:
        say(done.stdout.strip())
        return None
    return (done.stderr.strip().splitlines() or ["it was killed"])[-1]


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "install", "--progress-bar", "off", *arguments], check=True)


def readelf(library: Path, *options: str) -> str:
    return subprocess.run(["readelf", *options, "-W", str(library)], capture_output=True, text=True, check=True).stdout


def wanted(folder: Path) -> tuple[set[str], dict[str, set[str]], set[str]]:
    """Of all libraries in folder: the names they need, the symbols wanted by version, those without one."""
    needed: set[str] = set()
    versioned: dict[str, set[str]] = defaultdict(set)
    plain: set[str] = set()
    for library in sorted(folder.glob("*.so*")):
        needed.update(re.findall(r"\(NEEDED\).*\[(.*)\]", readelf(library, "-d")))
        for line in readelf(library, "--dyn-syms").splitlines():
            fields = line.split()
            if len(fields) < 8 or fields[6] != "UND":
                continue
            name, _, version = fields[7].partition("@")
            if not name.startswith(("cu", "nv", "nccl")):
                continue
            if version:
                versioned[version.lstrip("@")].add(name)
            else:
                plain.add(name)
    return {n for n in needed if ASKED.match(n) and not n.startswith(NOT_STUBBED)}, versioned, plain


def symbols_of(soname: str, versioned: dict[str, set[str]], plain: set[str]) -> dict[str, set[str]]:
    """What the stub for soname must define: by version, "" for those without."""
    result: dict[str, set[str]] = {}
    for version, names in versioned.items():
        if version == soname or (version == "NVSHMEM" and soname.startswith("libnvshmem")):
            result[version] = names
    prefixes = tuple(p for p, library in PREFIXES.items() if soname.startswith(library))
    if prefixes and (names := {n for n in plain if n.startswith(prefixes)}):
        result[""] = names
    return result


def write_stub(soname: str, symbols: dict[str, set[str]], folder: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        source, script = Path(temporary, "stub.c"), Path(temporary, "versions")
        names = sorted(set().union(*symbols.values())) if symbols else []
        source.write_text("".join(f"int {name}(void) {{ return 999; }}\n" for name in names) or "int penstock_stub;\n")
        blocks = [f"{version} {{ global: {'; '.join(sorted(of))}; }};" for version, of in symbols.items() if version]
        script.write_text("\n".join(blocks) + "\n")
        options = [f"-Wl,--version-script={script}"] if blocks else []
        subprocess.run(
            [
                "gcc",
                "-shared",
                "-fPIC",
                "-w",
                f"-Wl,-soname,{soname}",
                *options,
                "-o",
                str(folder / soname),
                str(source),
            ],
            check=True,
        )


def main() -> int:
    if torch_runs() is None:
        return 0
    if Path("/dev/nvidiactl").exists() or sysconfig.get_platform() != "linux-x86_64":
        say("installing torch as it comes")
        pip(TORCH)
    else:
        say("downloading torch (540 MB)")
        pip("--no-deps", TORCH, *REAL)
        folder = Path(sysconfig.get_paths()["platlib"]) / "torch/lib"
        needed, versioned, plain = wanted(folder)
        say(f"writing {len(needed)} stand-ins into {folder}")
        for soname in sorted(needed):
            write_stub(soname, symbols_of(soname, versioned, plain), folder)
    if reason := torch_runs():
        say(f"torch was installed but does not run: {reason}")
        say(f"Try `.venv/bin/pip install {TORCH}` (3 GB): what runs is left as it is.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
