"""Our declaration of DLPack's binary interface against the official header, by the compiler."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

STRUCTS = {
    "Version": ("DLPackVersion", {"major": "major", "minor": "minor"}),
    "DeviceRecord": ("DLDevice", {"device_type": "device_type", "device_id": "device_id"}),
    "DataType": ("DLDataType", {"code": "code", "bits": "bits", "lanes": "lanes"}),
    "TensorRecord": ("DLTensor", {name: name for name in
                                  ("data", "device", "ndim", "dtype", "shape", "strides", "byte_offset")}),
    "Managed": ("DLManagedTensor", {name: name for name in ("dl_tensor", "manager_ctx", "deleter")}),
    "ManagedVersioned": ("DLManagedTensorVersioned", {name: name for name in
                                                      ("version", "manager_ctx", "deleter", "flags", "dl_tensor")}),
    "ExchangeApiHeader": ("DLPackExchangeAPIHeader", {"version": "version", "prev_api": "prev_api"}),
    "ExchangeApi": ("DLPackExchangeAPI", {
        "header": "header",
        "managed_tensor_allocator": "managed_tensor_allocator",
        "managed_tensor_from_py_object_no_sync": "managed_tensor_from_py_object_no_sync",
        "managed_tensor_to_py_object_no_sync": "managed_tensor_to_py_object_no_sync",
        "dltensor_from_py_object_no_sync": "dltensor_from_py_object_no_sync",
        "current_work_stream": "current_work_stream",
    }),
}  # fmt: skip

VALUES = {
    "ours::kMajorVersion": "DLPACK_MAJOR_VERSION",
    "ours::kMinorVersion": "DLPACK_MINOR_VERSION",
    "ours::kFlagReadOnly": "DLPACK_FLAG_BITMASK_READ_ONLY",
    "ours::kFlagIsCopied": "DLPACK_FLAG_BITMASK_IS_COPIED",
    "ours::kFlagSubbytePadded": "DLPACK_FLAG_BITMASK_IS_SUBBYTE_TYPE_PADDED",
    "ours::kCpu": "official::kDLCPU",
    "ours::kCuda": "official::kDLCUDA",
    "ours::kCudaHost": "official::kDLCUDAHost",
    "ours::kRocm": "official::kDLROCM",
    "ours::kRocmHost": "official::kDLROCMHost",
    "ours::kCudaManaged": "official::kDLCUDAManaged",
    "penstock::DtypeCode::int_": "official::kDLInt",
    "penstock::DtypeCode::uint": "official::kDLUInt",
    "penstock::DtypeCode::float_": "official::kDLFloat",
    "penstock::DtypeCode::bfloat": "official::kDLBfloat",
    "penstock::DtypeCode::complex": "official::kDLComplex",
    "penstock::DtypeCode::bool_": "official::kDLBool",
    "penstock::DtypeCode::float8_e3m4": "official::kDLFloat8_e3m4",
    "penstock::DtypeCode::float8_e4m3": "official::kDLFloat8_e4m3",
    "penstock::DtypeCode::float8_e4m3b11fnuz": "official::kDLFloat8_e4m3b11fnuz",
    "penstock::DtypeCode::float8_e4m3fn": "official::kDLFloat8_e4m3fn",
    "penstock::DtypeCode::float8_e4m3fnuz": "official::kDLFloat8_e4m3fnuz",
    "penstock::DtypeCode::float8_e5m2": "official::kDLFloat8_e5m2",
    "penstock::DtypeCode::float8_e5m2fnuz": "official::kDLFloat8_e5m2fnuz",
    "penstock::DtypeCode::float8_e8m0fnu": "official::kDLFloat8_e8m0fnu",
}


def program(replaced=("", "")):
    lines = [
        "#include <cstddef>",
        "#include <cstdint>",
        "#include <penstock/dlpack.hpp>",
        "#include <penstock/dtype.hpp>",
        "namespace official {",
        "#include <dlpack/dlpack.h>",
        "}",
        "namespace ours = penstock::dlpack;",
        "#define SAME(a, b) static_assert((long long)(a) == (long long)(b), #a)",
    ]
    for ours, (official, members) in STRUCTS.items():
        lines.append(f"SAME(sizeof(ours::{ours}), sizeof(official::{official}));")
        lines.append(f"SAME(alignof(ours::{ours}), alignof(official::{official}));")
        for mine, theirs in members.items():
            a, b = f"ours::{ours}", f"official::{official}"
            lines.append(f"SAME(offsetof({a}, {mine}), offsetof({b}, {theirs}));")
            lines.append(f"SAME(sizeof((({a}*)nullptr)->{mine}), sizeof((({b}*)nullptr)->{theirs}));")
    lines += [f"SAME({ours}, {official});" for ours, official in VALUES.items()]
    lines.append("SAME(sizeof(ours::DeviceType), sizeof(official::DLDeviceType));")
    return "\n".join(lines).replace(*replaced) + "\n"


def compiled(text, folder):
    compiler = shutil.which("g++") or shutil.which("c++")
    package = importlib.util.find_spec("tvm_ffi")
    if compiler is None or package is None:
        pytest.skip("needs a compiler and apache-tvm-ffi")
    official = Path(package.submodule_search_locations[0]) / "include"
    assert (official / "dlpack/dlpack.h").exists()
    source = folder / "same.cpp"
    source.write_text(text)
    command = [compiler, "-std=c++20", "-fsyntax-only", "-Wno-invalid-offsetof", f"-I{ROOT}/include", f"-I{official}"]
    generated = ROOT / "build/dev/include"
    return subprocess.run([*command, f"-I{generated}", str(source)], capture_output=True, text=True, timeout=120)


@pytest.mark.interop
def test_it_is_the_official_interface(tmp_path):
    done = compiled(program(), tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.interop
@pytest.mark.parametrize(
    "planted", [("ours::kCuda,", "ours::kRocm,"), ("ours::Managed, dl_tensor", "ours::Managed, deleter")]
)
def test_a_difference_is_found(tmp_path, planted):
    assert program(planted) != program()
    done = compiled(program(planted), tmp_path)
    assert done.returncode != 0
    assert "static assertion failed" in done.stderr
