"""The application of holoscan_streams.py on a GPU: arrays of CuPy and PyTorch, each on the stream that Holoscan's words
name, or with ``--default_stream`` on the one that is current.

Without a GPU it runs with NumPy on host streams.
"""

import importlib
import sys
from argparse import ArgumentParser
from contextlib import nullcontext

from holoscan_streams import HEIGHT, WIDTH, ProcessOp, SourceOp, StreamsApp, parse

import penstock as ps


def usable(name):
    """The module, or None if it is not there or has no GPU."""
    try:
        module = importlib.import_module(name) if ps.device_count() else None
    except ImportError:
        return None
    return module if module and module.cuda.is_available() else None


cupy, torch = usable("cupy"), usable("torch")


def cupy_stream(stream):
    return nullcontext() if stream is None else cupy.cuda.ExternalStream(stream)


def torch_stream(stream):
    return nullcontext() if stream is None else torch.cuda.stream(torch.cuda.ExternalStream(stream))


class CuPySourceOp(SourceOp):
    def make(self, stream):
        with cupy_stream(stream):
            array = cupy.linspace(0, 10, HEIGHT * WIDTH, dtype=cupy.float32).reshape(HEIGHT, WIDTH)
            return cupy.exp(array) * self.number


class TorchSourceOp(SourceOp):
    def make(self, stream):
        with torch_stream(stream):
            array = torch.linspace(0, 10, HEIGHT * WIDTH, dtype=torch.float32, device="cuda").reshape(HEIGHT, WIDTH)
            return torch.exp(array) * self.number


class CuPyProcessOp(ProcessOp):
    def combine(self, stream, tensor1, tensor2):
        with cupy_stream(stream):
            return (cupy.asarray(tensor1) * cupy.asarray(tensor2)).sum(axis=-1)


class TorchProcessOp(ProcessOp):
    def combine(self, stream, tensor1, tensor2):
        with torch_stream(stream):
            return (torch.as_tensor(tensor1, device="cuda") * torch.as_tensor(tensor2, device="cuda")).sum(-1)


# What --arrays says: what it needs, the sources and what combines them.
CHOICES = {
    "cupy": ({"CuPy": cupy}, (CuPySourceOp, CuPySourceOp), CuPyProcessOp),
    "torch": ({"PyTorch": torch}, (TorchSourceOp, TorchSourceOp), TorchProcessOp),
    "both": ({"CuPy": cupy, "PyTorch": torch}, (CuPySourceOp, TorchSourceOp), CuPyProcessOp),
}


def main():
    parser = ArgumentParser(description="Streams of a pool in an application, with arrays of CuPy and PyTorch")
    parser.add_argument("-a", "--arrays", choices=CHOICES, default="", help="without it both, or NumPy's without a GPU")
    args = parse(parser)
    needed, sources, process = CHOICES[args.arrays or "both"]
    missing = " and ".join(name for name, module in needed.items() if module is None)
    missing = missing and (f"{missing} with a GPU" if ps.device_count() else "a GPU")
    words = {"count": args.count, "use_default_stream": args.default_stream}
    if not missing:
        StreamsApp(sources=sources, process=process, pool_device=0, **words).run(device="cuda")
    elif args.arrays:
        sys.exit(f"holoscan_cupy.py: --arrays {args.arrays} needs {missing}; there is none here")
    else:
        print(f"holoscan_cupy.py: NumPy on host streams; the rest needs {missing}", file=sys.stderr)
        StreamsApp(**words).run(device="cpu")


if __name__ == "__main__":
    main()
