"""Find the near-duplicates in a column of parquet files; write each row's cluster, and the rows that are kept.

python examples/dedup_parquet.py data/*.parquet --column content --out kept.parquet
"""

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data_recipes import near_duplicates

parser = argparse.ArgumentParser()
parser.add_argument("files", type=Path, nargs="+")
parser.add_argument("--column", default="content")
parser.add_argument("--mode", default="near_dedup_verified")
parser.add_argument("--out", type=Path, required=True)
arguments = parser.parse_args()

rows = pa.concat_tables([pq.read_table(path) for path in arguments.files], promote_options="default")
found = near_duplicates(rows[arguments.column].to_pylist(), mode=arguments.mode)  # a decision for each row, in order
for name in ("cluster", "jaccard"):
    rows = rows.append_column(name, found[name])
kept = rows.filter(found["is_kept"])
pq.write_table(kept, arguments.out)
pq.write_table(rows, arguments.out.with_suffix(".all.parquet"))
print(f"{rows.num_rows} rows, {kept.num_rows} kept, in {arguments.out}; all with their clusters beside it")
