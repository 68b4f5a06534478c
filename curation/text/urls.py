"""Canonical URLs, so that one page under several spellings counts as one."""

from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import pyarrow as pa
import xxhash

#: query parameters that say where a visitor came from, never what the page shows
TRACKING = frozenset(
    [
        *("fbclid", "gclid", "dclid", "gbraid", "wbraid", "msclkid", "yclid", "igshid", "mc_cid", "mc_eid"),
        *("ref_src", "spm", "_ga", "_gl", "oly_anon_id"),
    ]
)
LONGEST_HOST = 260  # characters: a name of 253 (RFC 1035, section 2.3.4) and a port
_PORTS = {"http": "80", "https": "443", "ftp": "21"}


def canonical_url(url: str) -> str | None:
    """The URL without what does not change the page, or None when it has no host.

    Host in lower case without `www.` and default port; http and https alike; no fragment, user or tracking
    parameters; remaining parameters sorted; path unquoted once, without a trailing slash or index page. The safe
    normalisations of RFC 3986 section 6.2, and the usual unsafe ones of crawlers.
    """
    text = url.strip()
    if "://" not in text:
        text = "http://" + text.removeprefix("//")
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:  # a bracket or a port that is none
        return None
    if not host:
        return None
    scheme = "http" if parts.scheme == "https" else parts.scheme.lower()
    host = host.removeprefix("www.")
    if port is not None and str(port) != _PORTS.get(parts.scheme.lower()):
        host = f"{host}:{port}"
    path = unquote(parts.path)
    for index in ("index.html", "index.htm", "index.php", "default.aspx"):
        if path.lower().endswith("/" + index):
            path = path[: -len(index)]
    query = sorted(
        (key, value)
        for key, value in parse_qsl(parts.query, keep_blank_values=True)
        if key not in TRACKING and not key.startswith("utm_")
    )
    return f"{scheme}://{host}{path.rstrip('/')}" + (f"?{urlencode(query)}" if query else "")


def url_keys(urls: pa.Array) -> pa.Array:
    """binary(16) hash of each canonical URL; null where there is no URL or it has no host."""
    return keys_and_hosts(urls)[0]


def keys_and_hosts(urls: pa.Array) -> tuple[pa.Array, pa.Array]:
    """(`url_keys`, host of each canonical URL as a string, null likewise) of a column of strings."""
    keys: list[bytes | None] = []
    hosts: list[str | None] = []
    for url in urls.to_pylist():
        canonical = canonical_url(url) if url else None
        if canonical is None:
            keys.append(None)
            hosts.append(None)
            continue
        keys.append(xxhash.xxh3_128_digest(canonical.encode("utf-8", "surrogatepass")))
        host = canonical.split("/", 3)[2].encode("utf-8", "replace").decode()
        hosts.append(host if len(host) <= LONGEST_HOST else None)
    return pa.array(keys, pa.binary(16)), pa.array(hosts, pa.string())
