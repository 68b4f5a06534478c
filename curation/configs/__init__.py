"""The configurations that `curation init` writes: YAML files to start from, shipped in the package."""

import sys
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from curation.config import ConfigError, nearest


def available() -> dict[str, Traversable]:
    """The shipped configurations by name. In a source checkout they stand in the top-level folder `configs`."""
    here = resources.files("curation.configs")
    found = [file for file in here.iterdir() if file.name.endswith(".yaml")]
    if not found:
        found = list(Path(__file__).parents[2].joinpath("configs").glob("*.yaml"))
    return {file.name.removesuffix(".yaml"): file for file in sorted(found, key=lambda f: f.name)}


def write(name: str | None, output: str | None = None) -> int:
    """Write configuration `name` to `output` (default NAME.yaml), never over a file; without a name, list them."""
    known = available()
    if name is None:
        for key, file in known.items():
            print(f"{key:<12} {file.read_text('utf-8').splitlines()[0].lstrip('# ')}")
        return 0
    if name not in known:
        raise ConfigError(f"there is no configuration {name!r}{nearest(name, known)}", "usage")
    target = Path(output or f"{name}.yaml")
    try:
        with target.open("x", encoding="utf-8") as written:
            written.write(known[name].read_text("utf-8"))
    except FileExistsError:
        raise ConfigError(f"{target} exists; give another name with --output", "usage") from None
    print(f"wrote {target}", file=sys.stderr)
    return 0
