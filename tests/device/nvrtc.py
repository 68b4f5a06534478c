"""NVIDIA's run-time compiler through ctypes: it makes machine code without a driver or a device."""

import ctypes
import ctypes.util
from importlib.util import find_spec
from pathlib import Path


def library() -> ctypes.CDLL | None:
    """libnvrtc of the nvidia-cuda-nvrtc package, else of the system, or None."""
    places: list[str] = []
    for name in ("nvidia.cuda_nvrtc", "nvidia.cu13"):
        try:
            spec = find_spec(name)
        except ModuleNotFoundError:
            continue
        for folder in spec.submodule_search_locations or [] if spec else []:
            places += map(str, sorted(Path(folder).glob("lib/libnvrtc.so.1?")))
    for place in [*places, ctypes.util.find_library("nvrtc")]:
        if place:
            try:
                return ctypes.CDLL(place)
            except OSError:
                continue
    return None


def compile(nvrtc: ctypes.CDLL, text: str, name: str, options: list[str]) -> tuple[int, str]:
    """(status, log): 0 is success."""
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name.encode(), 0, None, None)
    given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    status = nvrtc.nvrtcCompileProgram(program, len(options), given)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return status, log.value.decode()
