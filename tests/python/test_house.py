"""The rules of tools/check_house.py hold in this tree, and each of them finds a planted fault."""

import re
import shutil
from pathlib import Path

import check_house
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]

HEADER = "// A planted header.\n#pragma once\n"


@pytest.fixture(scope="module")
def clean_copy(tmp_path_factory):
    copy = tmp_path_factory.mktemp("house") / "tree"
    ignore = shutil.ignore_patterns(*check_house.SKIPPED)
    shutil.copytree(ROOT, copy, ignore=ignore, symlinks=True)
    return copy


def test_this_tree_obeys():
    assert check_house.problems(ROOT) == []


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("src/order/planted.cpp", "#include <cuda_runtime.h>\n", "folders named cuda"),
        ("tests/cpp/planted.cpp", "#include <cublas_v2.h>\n", "folders named cuda"),
        ("src/tensor/planted.cpp", "#include <Python.h>\n", "src/pybridge and python/"),
        ("src/order/planted.cpp", "#include <nanobind/nanobind.h>\n", "src/pybridge and python/"),
        ("src/base/planted.cpp", '#include "order/clock.hpp"\n', "base may not use order"),
        ("src/exec/planted.hpp", HEADER + '#include "memory/block.hpp"\n', "exec may not use memory"),
        ("src/base/planted.cpp", '#include "nowhere/file.hpp"\n', "nowhere is not a room"),
        ("src/base/planted.cpp", '#include "../exec/pool.hpp"\n', "by the path from src/"),
        ("src/lobby/planted.cpp", "int x;\n", "lobby is not a room"),
        ("src/base/planted.cpp", "#ifdef PENSTOCK_HAS_CUDA\n#endif\n", "no conditional on CUDA"),
        ("src/base/planted.cpp", "#if defined(__CUDACC__)\n#endif\n", "no conditional on CUDA"),
        ("src/base/planted.hpp", "#pragma once\n", "begins with a comment"),
        ("src/base/planted.hpp", "// A planted header.\n", "no #pragma once"),
        ("src/exec/planted.cpp", "std::atomic_thread_fence(std::memory_order_seq_cst);\n", "bare fence"),
        ("include/penstock/planted.hpp", HEADER, "which room is it of"),
        ("src/base/planted.cpp", "int x;\n" * 401, "401 lines"),
        ("python/penstock/planted.py", "# TO" + "DO: later\n", "a leftover"),
        ("docs/planted.md", "see /ro" + "ot/secret\n", "of one machine"),
    ],
)
def test_a_planted_fault_is_found(clean_copy, path, text, said):
    planted = clean_copy / path
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_text(text)
    try:
        found = [p for p in check_house.problems(clean_copy) if p.startswith(path)]
    finally:
        planted.unlink()
    assert any(said in p for p in found), found


def test_architecture_names_the_rooms(clean_copy):
    page = clean_copy / "ARCHITECTURE.md"
    text = page.read_text()
    try:
        page.write_text(text.replace("| `base` |", "| `cellar` |"))
        found = check_house.problems(clean_copy)
    finally:
        page.write_text(text)
    assert "ARCHITECTURE.md: does not name the room base, which is in src/" in found
    assert "ARCHITECTURE.md: names the room cellar, which is not in src/" in found


def test_the_examples_of_the_readme_run(capsys, tmp_path, monkeypatch):
    graph, streams = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    exec(compile(streams, "README.md", "exec"), {})
    assert capsys.readouterr().out == "(360, 640, 3) 200.0\n"
    av = pytest.importorskip("av")
    pytest.importorskip("cv2")
    monkeypatch.chdir(tmp_path)
    with av.open("in.mp4", "w") as container:
        video = container.add_stream("libx264", 25)
        video.height, video.width = 120, 160
        for level in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), level * 20, np.uint8), "rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    exec(compile(graph, "README.md", "exec"), {})
    with av.open("out.mp4") as container:
        assert [(f.height, f.width) for f in container.decode(video=0)] == [(360, 640)] * 10
