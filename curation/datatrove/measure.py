"""MeasureDiversity: statistics of the documents that pass, a state for each rank, and their merger."""

import json
import re

import pyarrow as pa
from datatrove.data import DocumentsPipeline
from datatrove.io import DataFolderLike, get_datafolder
from datatrove.pipeline.base import PipelineStep

from curation import diversity
from curation.datatrove.documents import check_batch, check_column, in_batches, texts
from curation.diversity.measure import add_batch

_STATE = re.compile(r"(\d{5})-of-(\d{5})\.state")


class MeasureDiversity(PipelineStep):
    """Counts the documents that pass, unchanged and in order, and at the end writes RANK-of-WORLD.state.

    output_folder: where `MergeDiversity` finds the states. The ids of documents draw the sample behind some statistics.
    """

    name = "Measure diversity"
    type = "STAT"

    def __init__(
        self, output_folder: DataFolderLike, *, text: str = "text", ruler: str = "shipped", batch_mb: float = 4.0
    ) -> None:
        super().__init__()
        check_batch(batch_mb)
        check_column(text, "text")
        diversity.load_ruler(ruler)
        self.text = text
        self.output_folder, self.ruler, self.batch_mb = get_datafolder(output_folder), ruler, batch_mb

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Yield the documents as they are."""
        ruler = diversity.load_ruler(self.ruler)
        state = diversity.empty(ruler)
        for documents in in_batches(data, self.batch_mb):
            if isinstance(documents, pa.RecordBatch):
                with self.track_time("batch"):
                    named = "id" if "id" in documents.schema.names else None
                    add_batch(state, documents, ruler, text=self.text, id=named)
                self.stat_update("total", value=documents.num_rows, unit="batch")
                yield documents
                continue
            with self.track_time("batch"):
                ids = pa.array([None if d.id is None else str(d.id) for d in documents], pa.string())
                batch = pa.RecordBatch.from_arrays([texts(documents), ids], ["text", "id"])
                add_batch(state, batch, ruler, id="id")
            for document in documents:
                self.stat_update("total")
                self.update_doc_stats(document)
                yield document
        with self.output_folder.open(f"{rank:05}-of-{world_size:05}.state", "wb") as file:
            file.write(diversity.dump(state))


class MergeDiversity(PipelineStep):
    """Merges the states that `MeasureDiversity` wrote into one JSON file of statistics; a pipeline of one task.

    The file holds {statistic: {value, error, n, below_sample, reason}}, the same as `curation.measure` gives for all
    documents together, whatever the number of ranks.
    """

    name = "Merge diversity"
    type = "STAT"

    def __init__(
        self,
        input_folder: DataFolderLike,
        output_folder: DataFolderLike,
        *,
        output_filename: str = "diversity.json",
        ruler: str = "shipped",
    ) -> None:
        super().__init__()
        diversity.load_ruler(ruler)
        self.input_folder, self.output_folder = get_datafolder(input_folder), get_datafolder(output_folder)
        self.output_filename, self.ruler = output_filename, ruler

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Write the merged statistics and pass data on.

        Raises ValueError with more than one task, and when states are missing or of two runs.
        """
        if data:
            yield from data
        if world_size != 1:
            raise ValueError(f"{self.name} reads all states: run it with tasks=1, not {world_size}")
        ruler = diversity.load_ruler(self.ruler)
        merged = diversity.empty(ruler)
        for name in self._complete():
            with self.track_time("state"), self.input_folder.open(name, "rb") as file:
                merged = diversity.merge(merged, diversity.load(file.read()))
        with self.output_folder.open(self.output_filename, "w") as file:
            json.dump(diversity.result(merged, ruler), file, indent=2)

    def _complete(self) -> list[str]:
        """The states' names in order, one for each rank of one world."""
        found = {match[0]: match for match in map(_STATE.fullmatch, self.input_folder.list_files()) if match}
        where = self.input_folder.path
        worlds = sorted({match[2] for match in found.values()})
        if len(worlds) != 1:
            if not worlds:
                way_out = f"run MeasureDiversity({where!r}) before"
                raise ValueError(f"the states in {where} are nowhere to be found: {way_out}")
            several = f"of runs with {' and '.join(str(int(world)) for world in worlds)} tasks"
            raise ValueError(f"the states in {where} are {several}: measure into an empty folder")
        names = [f"{rank:05}-of-{worlds[0]}.state" for rank in range(int(worlds[0]))]
        missing = [name for name in names if name not in found]
        if missing:
            raise ValueError(f"{where} lacks {missing[0]}: {len(missing)} of {len(names)} ranks have not finished")
        return names
