"""`BatchPredictor`: a `Predictor` as a class for `map_batches` of Ray Data."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from cspdarknet._extras import require
from cspdarknet.images import ImageError
from cspdarknet.inference.predictor import Predictor
from cspdarknet.scale.storage import EXTRA, PURPOSE
from cspdarknet.scale.tables import Row, result_rows, to_table

ERROR = "error"


class BatchPredictor:
    """Predicts the images in batches of a table: one `Predictor` in each process.

    Use it with `ray.data.Dataset.map_batches`, which makes one in each of its actors::

        dataset.map_batches(
            BatchPredictor,
            fn_constructor_kwargs={"model": "yolox.onnx", "threads": 4, "workers": 4},
            batch_size=256, num_cpus=4, concurrency=8,
        )

    A `Predictor` runs dry at the end of each batch: batches of a few hundred images are faster than
    small ones.

    Args:
        model: the name or path of a model, as in `Predictor`. All machines must see it.
        image_column: column of the images: local paths, bytes of image files, or arrays.
        maps: features: whether to keep the feature maps, not only their mean.
        top: classifiers: number of the most probable classes to keep; `None` for 3, and for all
            classes of a multi-label classifier that reach their score thresholds.
        options: the other arguments of `Predictor`; `mode` is `"throughput"` by default.

    Attributes:
        predictor: the `Predictor`.
        schema: Arrow schema of the columns of results.

    Raises:
        ValueError: if an argument does not fit the model.
        ImportError: if PyArrow or the runtime is missing.

    Example:
        >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
        >>> predict = BatchPredictor("csp_darknet_tiny_clothing", image_column="path", top=1)
        >>> table = predict({"path": ["sea.png", "no.png"]})
        >>> table.column_names
        ['path', 'class_id', 'class_name', 'probability', 'error']
        >>> table["error"].to_pylist()
        [None, 'no.png: no such file.']
    """

    def __init__(
        self,
        model: str,
        *,
        image_column: str = "bytes",
        maps: bool = False,
        top: int | None = None,
        **options: Any,
    ) -> None:
        require("pyarrow", EXTRA, PURPOSE)
        self._column = image_column
        self.predictor = Predictor(model, **{"mode": "throughput", **options})
        self.schema, self._row = result_rows(
            self.predictor.info, self.predictor.output_names, maps, top
        )

    def __call__(self, batch: Any) -> Any:
        """Return a batch as a table of Arrow, with columns of results.

        Args:
            batch: a dict of columns, or a table of Arrow.

        Returns:
            A table with the other columns of the batch, and that of the images if they are paths;
            the columns of `schema`; and `error`, which is null where there is a result.

        Raises:
            ValueError: if there is no column of images.
        """
        arrow: Any = require("pyarrow", EXTRA, PURPOSE)
        columns = {name: _values(batch[name]) for name in _names(batch)}
        if self._column not in columns:
            raise ValueError(
                f"A batch must have the column `image_column`. Received: {self._column!r}, and a "
                f"batch with the columns {', '.join(columns) or 'none'}."
            )
        images = columns[self._column]
        rows: list[Row] = [{}] * len(images)
        for i, result in self.results(enumerate(images)):
            rows[i] = {ERROR: str(result)} if isinstance(result, ImageError) else result
        if not all(isinstance(image, str) for image in images):
            del columns[self._column]
        table = to_table(rows, self.schema.append(arrow.field(ERROR, arrow.string())))
        names = [name for name in columns if name not in table.column_names]
        for i, name in enumerate(names):
            table = table.add_column(i, name, arrow.array(columns[name]))
        return table

    def results(self, images: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Row | ImageError]]:
        """Yield the key of each image with its row of results, or the error that it has none by.

        Args:
            images: keys and images. An `ImageError` in place of an image is yielded as it is.
        """
        keys: deque[Any] = deque()
        failed: deque[tuple[Any, ImageError]] = deque()

        def readable() -> Iterator[Any]:
            for key, image in images:
                if isinstance(image, ImageError):
                    failed.append((key, image))
                else:
                    keys.append(key)
                    yield image

        with closing(self.predictor.stream(readable())) as stream:
            for _, result in stream:
                key = keys.popleft()
                yield key, result if isinstance(result, ImageError) else self._row(result)
        yield from failed


def _names(batch: Any) -> list[str]:
    return list(getattr(batch, "column_names", batch))


def _values(column: Any) -> list[Any]:
    return column.to_pylist() if hasattr(column, "to_pylist") else list(column)
