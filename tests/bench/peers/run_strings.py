"""One search for many strings on one parquet file: `python run_strings.py SYSTEM FILE STRINGS` prints JSON.

The strings are a JSON list of lower-case texts; every system tells in which rows at least one of them is, ignoring
case. `loop` is what the report's script does, on the first rows only.
"""

import json
import sys
import time
from pathlib import Path

LOOP_ROWS = 150


def clocks():
    """Seconds of the clock and of CPU."""
    return time.perf_counter(), time.process_time()


def loop(texts, strings):
    """Every string in every text, one after the other."""
    found = []
    for row, text in enumerate(texts[:LOOP_ROWS]):
        lowered = text.lower()
        found += [row for string in strings if string in lowered][:1]
    return found, LOOP_ROWS


def polars_aho_corasick(texts, strings):
    """The Aho-Corasick automaton of polars' `contains_any`, in all threads."""
    import polars as pl

    mask = pl.Series(texts).str.contains_any(strings, ascii_case_insensitive=True)
    return mask.arg_true().to_list(), len(texts)


def pyahocorasick(texts, strings):
    """The automaton of pyahocorasick, one thread."""
    import ahocorasick

    automaton = ahocorasick.Automaton()
    for string in strings:
        automaton.add_word(string, string)
    automaton.make_automaton()
    found = [row for row, text in enumerate(texts) if next(automaton.iter(text.lower()), None)]
    return found, len(texts)


def ours(texts, strings):
    """Ours with exact strings and runs of 13 words, two threads; only exact finds are compared."""
    from data_recipes.decontamination.benchmarks import BenchmarkString, Matcher

    matcher = Matcher([BenchmarkString("bench", str(number), string) for number, string in enumerate(strings)])
    matcher.find_all(texts[:2], 1)
    started = clocks()
    found = matcher.find_all(texts, 2)
    ended = clocks()
    return [row for row, strings_found in found if strings_found[0].kind == "string"], len(texts), started, ended


def main():
    """Run one system; JSON with megabytes a second of the clock and of CPU, and the rows found."""
    import pyarrow.parquet as pq

    system, file, strings = sys.argv[1], sys.argv[2], json.loads(Path(sys.argv[3]).read_text())
    texts = pq.read_table(file, columns=["content"])["content"]
    texts = texts if system == "ours" else texts.to_pylist()
    run = {"loop": loop, "polars": polars_aho_corasick, "pyahocorasick": pyahocorasick, "ours": ours}[system]
    started = clocks()
    found, rows, *measured = run(texts, strings)
    (wall_start, cpu_start), (wall_end, cpu_end) = measured or (started, clocks())
    size = sum(len(text.as_py().encode()) if system == "ours" else len(text.encode()) for text in texts[:rows]) / 1e6
    speeds = {"mb_per_s": size / (wall_end - wall_start), "mb_per_cpu_s": size / (cpu_end - cpu_start)}
    print(json.dumps({**speeds, "rows": sorted(set(found)), "of": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
