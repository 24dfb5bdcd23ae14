"""Every row that a live kernel stored is found again: 82 tables over all kinds and types."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from odp_trio.routing.located import NotComputable
from odp_trio.routing.values import Values
from tests.routing.partition_statements import insert, locate, partitioning_of

DATA = Path(__file__).parents[1] / "data" / "partition" / "vectors.json"

NOT_COMPUTABLE = dict.fromkeys(("v077 'x'", "v077 'x,z'", "v077 ''"), "the members of column a are not known")
"""Table and value: why.  Whatever else is refused fails the test."""


def test_vectors() -> None:
    document = json.loads(DATA.read_text())
    computed: Counter[str] = Counter()
    refused: dict[str, str] = {}
    wrong = []
    for table in document["tables"]:
        partitioning = partitioning_of(table)
        for vector in table["vectors"]:
            columns = table["columns"]
            facts, literals = insert(columns, vector["sql_values"])
            found = locate(partitioning, facts, Values(literals))
            label = f"{table['name']} {' '.join(vector['sql_values'])}"
            if isinstance(found, NotComputable):
                refused[label] = found.reason
            elif [partition.tablet_id for partition in found.partitions] != [vector["tablet_id"]]:
                wrong.append((label, vector, [partition.name for partition in found.partitions]))
            else:
                computed[table["kind"]] += 1
    print(dict(computed), sum(computed.values()))  # noqa: T201  # the counts are of interest: pytest -s
    assert wrong == []
    assert refused == NOT_COMPUTABLE
    assert sum(computed.values()) == 753 - len(NOT_COMPUTABLE)
