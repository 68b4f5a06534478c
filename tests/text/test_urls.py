"""Canonical URLs."""

import pyarrow as pa
import pytest

from curation.text.urls import canonical_url, url_keys


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a/b",
        "https://www.example.org/a/b/",
        "HTTPS://Example.ORG:443/a/b#part",
        "example.org/a/b?utm_source=x&fbclid=1",
        "http://user:pw@example.org:80/a/b/index.html",
        "//example.org/a/%62",
    ],
)
def test_spellings_of_one_page(url):
    assert canonical_url(url) == "http://example.org/a/b"


@pytest.mark.parametrize("url", ["", "   ", "http://", "http://[broken", "http://host:notaport/"])
def test_no_host_is_no_url(url):
    assert canonical_url(url) is None


def test_parameters_that_matter_stay_in_order():
    assert canonical_url("http://e.org/?b=2&a=1") == "http://e.org?a=1&b=2"
    assert canonical_url("http://e.org/?a=1") != canonical_url("http://e.org/?a=2")
    assert canonical_url("http://e.org:8080/") == "http://e.org:8080"


def test_keys_are_null_without_a_page():
    keys = url_keys(pa.array(["http://e.org/x", "https://www.e.org/x/", None, "", "http://e.org/y"])).to_pylist()
    assert keys[0] == keys[1] != keys[4]
    assert keys[2] is None and keys[3] is None
