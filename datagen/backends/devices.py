"""Which device and number type a model runs with when the user says `auto`."""

from __future__ import annotations

import functools
from pathlib import Path

import torch

from datagen.errors import ConfigError

_BF16_FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}


def choose_devices(names: str) -> list[torch.device]:
    """The named devices, with commas between; for `auto` and `cuda` all GPUs that are there, else the processor.

    Raises:
        ConfigError: a device is unknown or not there.
    """
    found = [_device(name.strip()) for name in names.split(",")]
    if found == [torch.device("cuda")] and torch.cuda.device_count() > 1:
        return [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
    return found


def choose_device(names: str) -> torch.device:
    """The first of the named devices, for what runs on one alone.

    Raises:
        ConfigError: a device is unknown or not there.
    """
    return choose_devices(names)[0]


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as exc:
        raise ConfigError(f"unknown device {name!r}: use auto, cpu, cuda, cuda:1 or mps") from exc
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device {name!r} was asked for, but torch sees no GPU: use --device auto or cpu")
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The named number type; for `auto` bfloat16 where the device computes in it, else float32."""
    if name != "auto":
        return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if device.type == "cpu" and processor_has_bf16() else torch.float32


@functools.cache
def processor_has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware (AMX, AVX512-BF16 or Arm BF16)."""
    info = Path("/proc/cpuinfo")
    return info.exists() and not _BF16_FLAGS.isdisjoint(info.read_text(encoding="utf-8").split())
