"""What others published: the references of the zoo."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from os import PathLike
from pathlib import Path

from ..safe_yaml import read_yaml

METRICS = 'Top 1 Accuracy', 'Top 5 Accuracy', 'Mean Squared Error'


@dataclass(frozen=True)
class Reference:
    """One row of a published table.

    Attributes:
        name (str): Its name, that of the published checkpoint.
        facts (dict): What has to agree with a config: keys of a metafile's
            ``Metadata``, and ``Masked``.
        metrics (dict): The numbers, in percent except for ``Mean Squared Error``.
        gflops (float | None): As printed.
        source (str): The table it is from.
        url (str): Link to the paper.
        weights (str | None): Link to the checkpoint, if it is known to exist.
        code (str): Link to the released code.
        note (str | None): What is wrong with the row.
    """

    name: str
    facts: dict
    metrics: dict
    gflops: float | None
    source: str
    url: str
    weights: str | None
    code: str
    note: str | None

    def disagreements(self, metadata: dict, masked: bool) -> list[str]:
        """Find where a config disagrees: one of the two has to be wrong.

        Args:
            metadata (dict): That of the config's entry.
            masked (bool): Whether the config starts from masked pre-training.

        Returns:
            list[str]: Descriptions; empty if the row is about this config.
        """
        found = []
        for key, value in self.facts.items():
            said = masked if key == 'Masked' else metadata.get(key)
            agrees = (
                str(said).partition(' ')[0] == value
                if key == SAMPLING
                else said == value
            )
            if not agrees:
                found.append(f'{key} is {value} there and {said} here')
        return found


ROW: dict = {
    'Frame': int,
    'Masked': bool,
    'GFLOPs': Real,
    'Weights': (str, None),
    **dict.fromkeys(METRICS, Real),
    ...: str,
}
SHAPE = {'Tables': [{'Rows': {...: ROW}, 'Frame': int, ...: str}], ...: str}
SAMPLING = 'Sampling method'  # 'uniform' fits any number of frames
FACTS = 'Architecture', 'Training Data', 'Frame', 'Resolution', SAMPLING


def load_references(path: str | PathLike) -> dict[str, Reference]:
    """Read a ``published.yml``.

    Args:
        path (str | PathLike): The file; a missing one has no rows.

    Returns:
        dict[str, Reference]: Rows by name.

    Raises:
        YamlError: If it is not such a file.
        KeyError: If a key is missing.
    """
    path, rows = Path(path), {}
    content = read_yaml(path, SHAPE) if path.is_file() else {'Tables': []}
    for table in content['Tables']:
        for name, row in table['Rows'].items():
            facts = {key: row.get(key, table.get(key)) for key in FACTS}
            facts = {key: value for key, value in facts.items() if value is not None}
            has_weights = row.get('Weights', True) is not None
            rows[name] = Reference(
                name=name,
                facts={**facts, 'Masked': row.get('Masked', False)},
                metrics={key: row[key] for key in METRICS if key in row},
                gflops=row.get('GFLOPs'),
                source=table['Source'],
                url=content['Paper'],
                weights=content['Weights'].replace('{}', name) if has_weights else None,
                code=content['Code'],
                note=row.get('Note'),
            )
    return rows
