import pytest
import shim

from curation import device


@pytest.fixture(scope="session", params=["host", pytest.param("cuda", marks=pytest.mark.gpu)])
def lane(request, tmp_path_factory):
    """A lane of host threads that run the CUDA sources as C++; and one of a GPU where there is one."""
    if request.param == "cuda":
        card = device.choose("auto")
        if card is None:
            pytest.skip("no CUDA device, or no CuPy")
        return card.lane()
    if shim.compiler() is None:
        pytest.skip("no compiler for C++20")
    # the folder above is shared by the workers of a run, and without workers by all runs
    folder = tmp_path_factory.getbasetemp().parent / "device-shim"
    folder.mkdir(exist_ok=True)
    return shim.HostLane(shim.build(folder))


@pytest.fixture(scope="session")
def real(lane):
    """Is it a GPU? It can do in a moment what takes threads of the host minutes."""
    return not isinstance(lane, shim.HostLane)
