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
        name (str): Its own, that of the published checkpoint.
        facts (dict): What has to agree with a config: keys of a metafile's
            ``Metadata``, and ``Masked``.
        metrics (dict): The numbers, in percent but for ``Mean Squared Error``.
        protocol (str): How they were measured.
        gflops (float | None): As printed.
        source (str): Which table.
        url (str): Of the paper.
        weights (str | None): Link to the checkpoint, if it exists for certain.
        code (str): Link to the released code.
        note (str | None): What is wrong with the row.
    """

    name: str
    facts: dict
    metrics: dict
    protocol: str
    gflops: float | None
    source: str
    url: str
    weights: str | None
    code: str
    note: str | None

    def disagreements(self, metadata: dict, masked: bool) -> list[str]:
        """What a config says otherwise: of these two, one has to be wrong.

        Args:
            metadata (dict): Of the config's entry.
            masked (bool): Whether the config starts from masked pre-training.

        Returns:
            list[str]: Descriptions; none if the row is about this config.
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


ROW = {
    'Frame': int,
    'Masked': bool,
    'GFLOPs': Real,
    'Weights': (str, None),
    **dict.fromkeys(METRICS, Real),
    ...: str,
}
SHAPE = {'Tables': [{'Rows': {...: ROW}, 'Frame': int, ...: str}], ...: str}
SAMPLING = 'Sampling method'  # 'uniform' is said of any number of frames
FACTS = 'Architecture', 'Training Data', 'Frame', 'Resolution', SAMPLING


def load_references(path: str | PathLike) -> dict[str, Reference]:
    """Read a ``published.yml``.

    Args:
        path (str | PathLike): The file; one that does not exist has no rows.

    Returns:
        dict[str, Reference]: Rows by name.

    Raises:
        YamlError: If it is something else.
        KeyError: If it lacks something.
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
                protocol=table['Testing protocol'],
                gflops=row.get('GFLOPs'),
                source=table['Source'],
                url=content['Paper'],
                weights=content['Weights'].replace('{}', name) if has_weights else None,
                code=content['Code'],
                note=row.get('Note'),
            )
    return rows
