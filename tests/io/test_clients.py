"""Errors of the packages that talk to object stores are those of a connection, whatever class they are of."""

import pytest

from curation.io import remote


@pytest.mark.parametrize("module", ["botocore.exceptions", "httpx", "httpx2", "huggingface_hub.errors"])
def test_an_error_of_a_client_is_tried_again_and_then_told(module, monkeypatch):
    monkeypatch.setattr(remote, "PAUSE", 0)
    kind = type("ConnectError", (Exception,), {"__module__": module})
    tried = []

    def act() -> None:
        tried.append(1)
        raise kind("Name or service not known")

    with pytest.raises(remote.Unreachable, match="looking for hf://a failed 5 times: ConnectError: Name or service"):
        remote.patiently("looking for hf://a", act)
    assert len(tried) == remote.TRIES
