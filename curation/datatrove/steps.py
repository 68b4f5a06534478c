"""datatrove's filters and formatters on Arrow batches, so that any host can run them.

A step sees Documents one by one, as it does in datatrove; what it says comes back as columns: the reason for which a
document is dropped, the text it was left with, and what it put into the metadata.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter, get_filter_result
from datatrove.pipeline.formatters.base import BaseFormatter

from curation.config import nearest
from curation.datatrove.documents import texts

#: what is wrong with the machine, not with a document
_ENVIRONMENT = (ImportError, OSError, MemoryError)


class Stepped(NamedTuple):
    """What steps made of a batch: `reason` (string, null: the document stays), `text` (large_string), the documents
    themselves with their metadata, and by step what it said when it raised, once for each document."""

    reason: pa.Array
    text: pa.Array
    documents: list[Document]
    failures: dict[str, list[str]]


def known() -> dict[str, type[PipelineStep]]:
    """datatrove's own filters and formatters by the name of their class."""
    from datatrove.pipeline import filters, formatters

    return {
        name: kind
        for module in (filters, formatters)
        for name, kind in vars(module).items()
        if inspect.isclass(kind) and issubclass(kind, BaseFilter | BaseFormatter) and not inspect.isabstract(kind)
    }


def make(name: str, arguments: Mapping[str, Any]) -> PipelineStep:
    """The step of this class name with these keyword arguments.

    Raises ValueError for a name that datatrove does not have, an argument that the step does not take, a value that it
    refuses, and a package that it needs and that is not installed.
    """
    kinds = known()
    if name not in kinds:
        raise ValueError(f"datatrove has no filter or formatter {name!r}{nearest(name, kinds)}")
    takes = set(inspect.signature(kinds[name]).parameters) - {"exclusion_writer"}
    unknown = sorted(set(arguments) - takes)
    if unknown:
        raise ValueError(f"{name} takes no argument {unknown[0]!r}{nearest(unknown[0], takes)}")
    try:
        return kinds[name](**arguments)
    except ImportError as error:
        raise ValueError(f"{name}: {error}; pip install 'curation[filters]'") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None


def documents(batch: pa.RecordBatch, text: str, ids: Sequence[Any], url: str | None = None) -> list[Document]:
    """The rows as Documents; all columns but the text are metadata, and the text of a null is empty.

    The column `url` is called `url` in the metadata, where steps look for it.
    """
    names = [column for column in batch.schema.names if column != text]
    others = batch.select(names).rename_columns(["url" if name == url else name for name in names]).to_pylist()
    values = batch.column(text).to_pylist()
    return [Document(v or "", str(i), metadata=m) for v, i, m in zip(values, ids, others, strict=True)]


def apply(steps: Sequence[PipelineStep], found: list[Document], *, forgiving: bool = False) -> Stepped:
    """Run the steps on the documents, each on those that the steps before it have left.

    The reason is STEP or STEP:REASON as the step gives it. With `forgiving` a document on which a step raises stays as
    it was, since nothing speaks against it, and `failures` tells; but what is wrong with the machine (a package, a
    file, memory) is raised all the same.
    """
    reasons: list[str | None] = [None] * len(found)
    failures: dict[str, list[str]] = {}
    for step in steps:
        name = type(step).__name__
        left = [i for i, reason in enumerate(reasons) if reason is None]
        judge = _verdicts(step, [found[i] for i in left], failures.setdefault(name, []) if forgiving else None)
        for index, dropped in zip(left, judge, strict=True):
            if dropped is not None:
                reasons[index] = f"{name}:{dropped}" if dropped else name
    told = {name: messages for name, messages in failures.items() if messages}
    return Stepped(pa.array(reasons, pa.string()), texts(found), found, told)


def _verdicts(step: PipelineStep, found: list[Document], failures: list[str] | None) -> list[str | None]:
    """For each document None if it stays, else why it is dropped (empty where the step does not say)."""
    if not isinstance(step, BaseFilter | BaseFormatter):
        return _passed(step, found)
    verdicts: list[str | None] = []
    size = getattr(step, "batch_size", 1)
    for start in range(0, len(found), size):
        verdicts += _judged(step, found[start : start + size], failures)
    return verdicts


def _judged(
    step: BaseFilter | BaseFormatter, part: list[Document], failures: list[str] | None
) -> list[str | None]:
    before = [(document.text, dict(document.metadata)) for document in part] if failures is not None else []
    try:
        if isinstance(step, BaseFormatter):
            for document in part:
                document.text = step.format(document.text)
            return [None] * len(part)
        results = step.filter_batch(part) if step.batch_size > 1 else [step.filter(document) for document in part]
    except _ENVIRONMENT:
        raise
    except Exception as error:
        if failures is None:
            raise
        for document, (text, metadata) in zip(part, before, strict=True):
            document.text, document.metadata = text, metadata
        if len(part) > 1:
            return [_judged(step, [document], failures)[0] for document in part]
        failures.append(f"{type(error).__name__}: {error}")
        return [None]
    verdicts = [get_filter_result(result) for result in results]
    return [None if keeps else str(reason or "") for keeps, reason in verdicts]


def _passed(step: PipelineStep, found: list[Document]) -> list[str | None]:
    """The verdicts of a step that is neither filter nor formatter: it must yield the documents it is given."""
    left = {id(document) for document in step.run(iter(found), 0, 1)}
    if left - {id(document) for document in found}:
        name = type(step).__name__
        raise ValueError(f"{name} yields documents of its own; here a step can only pass on what it is given")
    return [None if id(document) in left else "" for document in found]
