# Sourced by the other scripts: a Python of a fitting version and a virtual environment ($CURATION_VENV, else .venv).

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${CURATION_VENV:-$root/.venv}

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "curation needs Python 3.11, 3.12 or 3.13; set PYTHON to one" >&2
    return 1
}

# install EXTRAS [PIP OPTIONS]: the package of this clone, editable, with extras such as beam or test
install() {
    local extras=$1
    shift
    if [ ! -x "$venv/bin/python" ]; then
        "$(find_python)" -m venv "$venv"
    fi
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" --editable "$root[$extras]"
}
