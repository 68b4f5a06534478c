"""report.json, the page made of it and the summary that the command line prints."""

from curation.report.brief import summary as summary
from curation.report.page import render as render
from curation.report.page import standalone_drawings as standalone_drawings
from curation.report.schema import Report as Report
