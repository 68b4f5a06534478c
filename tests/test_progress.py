"""Progress lines: what a stage has read, or only its seconds where it reads no text."""

import io
import re

from curation.progress import Lines


def test_only_stages_that_read_text_print_documents_and_speed():
    stream = io.StringIO()
    lines = Lines(stream=stream, every=0.0)
    with lines.stage("annotate", "annotate"):
        lines.advance(3, 2_000_000)
    with lines.stage("weigh", "solve"):
        lines.advance(0, 0)
    first, last, idle = stream.getvalue().splitlines()
    assert first.endswith("…") and last.startswith("annotate: 3 documents, 2.0 MB, ")
    assert re.fullmatch(r"solve: [\d.]+ s…", idle)
