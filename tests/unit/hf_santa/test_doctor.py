"""The doctor says what is there, in JSON and for a person, on any machine."""

import json
import os

from hf_santa import doctor


def test_the_machine_and_the_kernels_are_named():
    """Cores, memory and a verdict for each kernel and number format; dense float32 has a verdict everywhere."""
    seen = doctor.machine()
    assert 1 <= seen["cores_usable"] <= seen["cores"] == os.cpu_count()
    assert seen["memory_gb"] > 0
    table = doctor.kernels()["kernels"]
    assert {"float32", "bfloat16"} == set(table)
    assert all({"dense", "packed", "int8", "int4"} == set(row) for row in table.values())


def test_a_package_outside_of_its_range_is_named(monkeypatch):
    """A version that our requirements do not allow is listed with the range."""
    monkeypatch.setattr("importlib.metadata.requires", lambda _: ["numpy>=99", "pyyaml>=1"])
    assert [("numpy", ">=99")] == [(row["package"], row["range"]) for row in doctor.installation()["out_of_range"]]


def test_what_is_missing_has_its_cure(monkeypatch):
    """An extra that is not installed is shown with the command that brings it."""
    monkeypatch.setattr(doctor, "_version", lambda package: None if package == "torch" else "1")
    assert any("pip install 'hf-santa[model]'" in line for line in doctor._installation_lines(doctor.installation()))


def test_json_is_all_there_is_on_standard_output(run_command):
    """`doctor --json` prints one JSON object with the four parts; the exit code says whether all is there."""
    code, out, _ = run_command("doctor", "--json")
    found = json.loads(out)
    assert {"installation", "machine", "model", "metric"} == set(found)
    is_whole = found["metric"]["is_complete"] and not found["installation"]["out_of_range"]
    assert (0 if is_whole else 3) == code


def test_versions_that_can_not_be_compared_are_not_called_right(monkeypatch):
    """Without `packaging` nothing is known about ranges, and the lines say so."""
    find = doctor.importlib.util.find_spec
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None if name == "packaging" else find(name))
    found = doctor.installation()
    assert found["out_of_range"] is None
    assert any("were not compared" in line for line in doctor._installation_lines(found))


def test_memory_that_no_file_tells_is_unknown(monkeypatch):
    """Without /proc the machine's size is asked of the system, and what is free is not made up."""
    monkeypatch.setattr(doctor, "memory_limit", lambda: None)
    monkeypatch.setattr(doctor, "free_memory", lambda: None)
    seen = doctor.machine()
    assert seen["memory_free_gb"] is None
    assert seen["memory_gb"] is None or seen["memory_gb"] > 0
