"""Write configs/full.yaml: every key of the configuration with its default and meaning, from the models themselves."""

import types
import typing
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel

from curation.config import Config, Input

HEAD = """\
# Every key with its default. Keys that are left out keep it; unknown keys are errors.
"""


def kind(annotation: Any) -> str:
    """A type as people write it: `int`, `a | b` for choices, `str or null`."""
    if get_origin(annotation) is Literal:
        return " | ".join(map(str, get_args(annotation)))
    if isinstance(annotation, types.UnionType) or get_origin(annotation) is typing.Union:
        return " or ".join("null" if a is type(None) else kind(a) for a in get_args(annotation))
    origin = get_origin(annotation)
    return "mapping" if origin is dict else getattr(annotation, "__name__", str(annotation))


def value(default: Any) -> str:
    return yaml.safe_dump(default, default_flow_style=True).splitlines()[0].removesuffix("...").strip()


def lines(model: type[BaseModel], indent: str = "") -> list[str]:
    out = []
    for name, field in model.model_fields.items():
        annotation = field.annotation
        note = f"# {field.description} ({kind(annotation)})"
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            out += [f"{indent}{name}:", *lines(annotation, indent + "  ")]
        elif name == "inputs":
            item = lines(Input, "    ")
            out += [f"{indent}inputs:", "  - " + item[0].strip(), *item[1:]]
        else:
            known = not field.is_required()
            default = value(field.get_default(call_default_factory=True)) if known else "data/*.parquet"
            out.append(f"{indent}{name}: {default}  {note}")
    return out


def text() -> str:
    """The whole file."""
    return HEAD + "\n".join(lines(Config)) + "\n"


if __name__ == "__main__":
    (Path(__file__).parents[1] / "configs" / "full.yaml").write_text(text(), "utf-8")
