"""The package as a whole: devices, errors, names, types, and what importing it brings in."""

import ast
import copy
import inspect
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from helpers import check_python

import penstock as ps

ROOT = Path(__file__).resolve().parents[2]


def test_devices_are_strings_with_an_index():
    cpu = ps.Device("cpu")
    assert isinstance(cpu, str)
    assert cpu == "cpu"
    assert f"{cpu}" == "cpu"
    assert ps.Device("cuda") == "cuda:0"
    assert str(ps.Device("cuda")) == "cuda:0"
    assert str(ps.Device("cuda:1")) == "cuda:1"
    with pytest.raises(TypeError, match="no device"):
        ps.Device("gpu")


@pytest.mark.parametrize(
    ("device", "other", "equal"),
    [
        ("cuda:0", "cuda", True),
        ("cuda:1", "cuda", True),
        ("cuda:1", "cuda:1", True),
        ("cuda:0", "cuda:1", False),
        ("cuda:0", "cpu", False),
        ("cpu", "cuda", False),
        ("cpu", "cpu", True),
        ("cpu", None, False),
        ("cpu", 0, False),
    ],
)
def test_equality_of_devices(device, other, equal):
    device = ps.Device(device)
    assert (device == other) is equal
    assert (other == device) is equal
    assert (device != other) is not equal
    assert (other != device) is not equal


def test_the_hash_is_the_full_strings():
    assert hash(ps.Device("cuda:1")) == hash("cuda:1")
    assert {ps.Device("cuda:0"): 1}["cuda:0"] == 1
    assert {"cpu": 1}[ps.Device("cpu")] == 1
    again = pickle.loads(pickle.dumps(ps.Device("cuda:1")))
    assert (type(again), str(again)) == (ps.Device, "cuda:1")
    assert copy.deepcopy(ps.Device("cpu")) == "cpu"


def test_the_list_of_devices():
    assert ps.devices()[0] == "cpu"
    assert len(ps.devices()) == 1 + ps.device_count()
    assert all(isinstance(device, ps.Device) for device in ps.devices())


def named(name, **fields):
    return type(name, (), {**fields, "__str__": lambda self: "something"})()


@pytest.mark.parametrize(
    "device",
    ["cpu", "cpu:0", ps.Device("cpu"), named("JaxDevice", platform="cpu", id=0), (1, 0)],
    ids=repr,
)
def test_what_libraries_call_the_cpu(device):
    assert ps.zeros((2,), "uint8", device=device).device == "cpu"
    assert ps.Stream(device).device == "cpu"


@pytest.mark.interop
def test_torchs_devices():
    torch = pytest.importorskip("torch")
    assert ps.zeros((2,), "uint8", device=torch.device("cpu")).device == "cpu"


@pytest.mark.skipif(ps.device_count() > 0, reason="there is a GPU")
@pytest.mark.parametrize(
    "device",
    [
        "cuda",
        "cuda:0",
        "cuda:7",
        ps.Device("cuda:0"),
        named("CupyDevice", id=0, compute_capability="90"),
        named("CoreDevice", device_id=0, compute_capability=(9, 0)),
        named("JaxDevice", platform="gpu", id=0),
        (2, 0),
    ],
    ids=repr,
)
def test_a_gpu_that_is_not_there(device):
    for use in (ps.Stream, ps.memory.stats, lambda d: ps.zeros((2,), "uint8", device=d)):
        with pytest.raises(ps.DeviceError, match="0 GPUs"):
            use(device)


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:1", "", 0, 1.5, b"cpu", object(), True])
def test_what_is_no_device(device):
    with pytest.raises(ps.ArgumentTypeError, match="device"):
        ps.zeros((2,), "uint8", device=device)


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (ps.TensorError, ValueError),
        (ps.ExchangeError, BufferError),
        (ps.ExchangeError, ps.TensorError),
        (ps.ArgumentTypeError, TypeError),
        (ps.StreamError, RuntimeError),
        (ps.OutOfMemory, MemoryError),
        (ps.DeviceError, RuntimeError),
    ],
)
def test_errors_are_also_pythons(error, base):
    assert issubclass(error, base)
    assert issubclass(error, ps.Error)
    assert error.__module__.startswith("penstock")
    assert getattr(ps.errors, error.__name__) is error
    assert str(pickle.loads(pickle.dumps(error("text")))) == "text"


def test_the_root_has_few_names():
    names = [name for name in dir(ps) if not name.startswith("__")]
    assert len(names) <= 90, names
    public = {name for name in names if not name.startswith("_")} - {"annotations"}
    assert public == set(ps.__all__) - {"__version__"}
    assert all(hasattr(ps, name) for name in ps.__all__)


def test_public_names_are_documented():
    for name in ps.__all__:
        thing = getattr(ps, name)
        if inspect.isclass(thing) or inspect.isroutine(thing) or inspect.ismodule(thing):
            assert inspect.getdoc(thing), name


def test_importing_brings_in_no_library():
    heavy = ("numpy", "torch", "cupy", "cv2", "av", "ml_dtypes", "asyncio")
    out = check_python(f"""
        import sys
        before = set(sys.modules)
        import penstock
        print([name for name in {heavy!r} if name in set(sys.modules) - before])
    """)
    assert out.strip() == "[]"


def test_it_can_be_imported_again_in_a_thread():
    check_python("""
        import threading
        def use():
            import penstock as ps
            ps.Stream("cpu").launch(lambda: 3).result()
        threads = [threading.Thread(target=use) for _ in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
    """)


def test_the_version_is_the_projects():
    text = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{ps.__version__}"' in text


USER = """
import penstock as ps

stream: ps.Stream = ps.Stream("cpu")
tensor: ps.Tensor = ps.as_tensor(b"abc", "W", on_release=lambda: None)
shape: tuple[int, ...] = tensor.shape
layout: str | None = tensor[0:2].layout
device: str = tensor.device
event: ps.Event = stream.launch(print, tensor, writes=(tensor,))
done: bool = event.query() and stream.query()
with stream as current:
    small: ps.Tensor = ps.resize(tensor, (2, 2), stream=current)
rgb: ps.Tensor = ps.cvt_color((tensor, tensor), "NV12", "RGB", out=small)
stats: dict[str, int] = ps.memory.stats("cpu")
number: int = stream + ps.as_stream(stream) + ps.memory.limit()
image: ps.Tensor = ps.Image((2, 2), "RGB").tensor()
made: ps.Tensor = ps.zeros((2,), "float32", rowalign=32).reshape(2, 1).view("HW").copy().to("cpu").cpu()
"""
WRONG = """
import penstock as ps

ps.empty((2,), "float32").nothing
ps.Stream("cpu").synchronise()
ps.zeros()
tensor: str = ps.empty((2,), "uint8")
ps.as_tensor(b"", on_release=3)
"""


def mypy(*arguments):
    folder = Path(ps.__file__).resolve().parent
    package = Path(sys.modules["penstock._core"].__file__).parent.parent
    assert (package / "penstock/_core.pyi").exists(), folder
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *arguments]
    cache = Path(tempfile.gettempdir()) / "penstock-mypy"
    environment = os.environ | {"MYPYPATH": str(package), "MYPY_CACHE_DIR": str(cache)}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)


@pytest.mark.slow
def test_the_types_are_right_for_a_strict_user(tmp_path):
    pytest.importorskip("mypy")
    user, wrong = tmp_path / "user.py", tmp_path / "wrong.py"
    user.write_text(USER)
    wrong.write_text(WRONG)
    done = mypy(str(user))
    assert done.returncode == 0, done.stdout + done.stderr
    done = mypy(str(wrong))
    found = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    assert found == {4, 5, 6, 7, 8}, done.stdout


def test_python_files_ask_for_no_more_than_they_need():
    """A call of a user's costs one import lock: nothing is imported inside of functions that run for each frame."""
    for path in (ROOT / "python/penstock").glob("*.py"):
        tree = ast.parse(path.read_text())
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            if function.name in {"launch", "wait", "record", "query", "sync", "__enter__", "__exit__"}:
                inner = [n for n in ast.walk(function) if isinstance(n, (ast.Import, ast.ImportFrom))]
                assert not inner, f"{path.name}: {function.name}"
