"""The demo: human text from this machine, text by a language model from the repository, and the truth about
both.

`python -m curation.demo gather DIR` writes a small crawl and a reference; `python -m curation.demo compare
OUT TRUTH` says what a finished run did with each origin. It is a smoke test, see PROVENANCE.md beside this
file.
"""
