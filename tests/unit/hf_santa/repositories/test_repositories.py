"""What is refused, what a card must have, and how code and cards name repositories."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from hf_santa.repositories.guard import check_folder
from hf_santa.repositories.hub_words import SIZES
from hf_santa.repositories.kinds import KINDS, ReleaseError, card_for_hub, repo_ids
from hf_santa.repositories.lint import lint
from hf_santa.repositories.model_card import CardWords, _compared, write_model_card
from hf_santa.repositories.write import space_source, stage_metric
from tests.fixtures.funnel import entry, funnel_of

METRIC, MODEL, DATASET = KINDS["metric"], KINDS["model"], KINDS["dataset"]
AWS_KEY = "AKIA" + "Q3EGLXZ2NFKUW7HT"
HOME = "/ho" + "me/alice/weights"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (".env", b"A=1", "an environment file holds secrets"),
        (".env.local", b"A=1", "an environment file holds secrets"),
        ("id_rsa", b"x", "its name is that of a key"),
        ("server.pem", b"x", "its name is that of a key"),
        (".netrc", b"x", "a file of passwords"),
        ("pytorch_model.bin", b"x", "its name is that of a pickle"),
        ("notes.txt", b"\x80\x04x", "it is a pickle or an archive"),
        ("model.safetensors", b"PK\x03\x04", "it is a pickle or an archive"),
        ("__pycache__/a.py", b"x", "it is in a cache"),
        ("a.pyc", b"x", "it is a compiled cache"),
        ("notes.txt", b"x", "it is not on the list of what a model repository holds"),
        ("a_santa.py", f"x = 1\nkey = '{AWS_KEY}'\n".encode(), "line 2 holds a secret"),
        ("a_santa.py", f"x = '{HOME}'\n".encode(), "line 1 holds a path of one machine"),
        ("config.json", b'{"_name_or_path": "/srv/models/santa"}', "a value is an absolute path"),
        ("config.json", b'{"a": ', "it is not JSON"),
        ("a_santa.py", b"\xff\xfe", "it is not UTF-8"),
    ],
)
def test_what_must_not_be_published_is_named(tmp_path, name, content, words):
    """Each kind of dangerous file is refused by its name and reason; what was found in it is not shown."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(ReleaseError) as caught:
        check_folder(tmp_path, MODEL)
    assert f"{name}: " in str(caught.value)
    assert words in str(caught.value)
    assert AWS_KEY not in str(caught.value)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    """A link to a file elsewhere is not followed, whatever its name."""
    (tmp_path / "outside.json").write_text("{}")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").symlink_to(tmp_path / "outside.json")
    with pytest.raises(ReleaseError, match=r"config.json: it is a link that leads out of the folder"):
        check_folder(tmp_path / "model", MODEL)


def test_personal_data_in_rows_is_refused_by_row(tmp_path):
    """The row and the type are named, the address is not; a redacted row passes."""
    (tmp_path / "data" / "1").mkdir(parents=True)
    path = tmp_path / "data" / "1" / "python-00000.parquet"
    pq.write_table(pa.table({"content": ["x = 1\n", "# by abcde@example.com\n"]}), path)
    check_folder(tmp_path, DATASET)
    pq.write_table(pa.table({"content": ["x = 1\n", "# by bob@corp.io\n"]}), path)
    with pytest.raises(ReleaseError, match=r"row 1 holds personal data \(EMAIL_ADDRESS, rule email\)") as caught:
        check_folder(tmp_path, DATASET)
    assert "bob@" not in str(caught.value)


@pytest.fixture
def metric(tmp_path):
    stage_metric(tmp_path / "eval_multipl_e")
    return tmp_path / "eval_multipl_e"


def test_the_metric_as_staged_is_good(metric):
    """Nothing in our own repository is refused, and its card has no fault."""
    check_folder(metric, METRIC)
    assert [] == list(lint(metric, METRIC))


GRADIO = {"sdk": "gradio", "sdk_version": "6.31.0", "app_file": "index.html"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sdk": "docker"}, "sdk is 'docker', expected one of 'gradio', 'static'"),
        (
            {"sdk": "gradio", "sdk_version": 6.3, "app_file": "index.html"},
            "sdk_version is 6.3. Expected a full version",
        ),
        ({"app_file": "none.py"}, "app_file is 'none.py', and there is no such file"),
        ({"colorFrom": "orange"}, "colorFrom is 'orange'"),
        ({"license": "free"}, "license is 'free'. Expected an identifier"),
        ({"language": "python"}, "language 'python' is no ISO 639 or BCP 47 code"),
        ({"tags": "metric"}, "tags is 'metric'. Expected a list"),
        ({"title": ""}, "title is missing"),
        ({"short_description": "x" * 61}, "short_description has 61 characters"),
        ({"models": ["santa"]}, "models names 'santa', expected NAMESPACE/NAME"),
        ({**GRADIO, "suggested_hardware": "t4-tiny"}, "suggested_hardware is 't4-tiny'. Expected one of cpu-basic"),
        ({"suggested_hardware": "t4-small"}, "a static Space runs on no machine"),
        (
            {**GRADIO, "preload_from_hub": ["me/santa a.py main"]},
            "preload_from_hub has 'me/santa a.py main'. Expected NAMESPACE/NAME",
        ),
    ],
)
def test_each_fault_of_a_front_matter_is_told(metric, change, words):
    """One wrong key is one line that says what was seen and what is expected."""
    readme = metric / "README.md"
    _, front, body = readme.read_text().split("---\n", 2)
    readme.write_text(f"---\n{yaml.safe_dump({**yaml.safe_load(front), **change})}---\n{body}")
    found = list(lint(metric, METRIC))
    assert 1 == len(found)
    assert words in found[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"# No front matter\n", "there is no front matter"),
        (b"---\ntitle: [\n---\n# T\n", "the front matter is not YAML (line 3)"),
        (b"---\n- a\n---\n# T\n", "the front matter is a list, expected keys and values"),
        (b"\xff", "it is not UTF-8"),
    ],
)
def test_a_broken_front_matter_is_told(metric, text, words):
    """A card that cannot be read is one fault, not a traceback."""
    (metric / "README.md").write_bytes(text)
    found = list(lint(metric, METRIC))
    assert 1 == len(found)
    assert words in found[0]


def test_configs_must_read_files_that_are_there(tmp_path):
    """A config of a missing file, outside of the repository, or named twice is a fault."""
    files = [("a", "data/*.parquet"), ("b", "../x.parquet"), ("a", "README.md")]
    configs = [{"config_name": name, "data_files": [{"split": "train", "path": path}]} for name, path in files]
    (tmp_path / "README.md").write_text(f"---\n{yaml.safe_dump({'license': 'other', 'configs': configs})}---\n# T\n")
    assert [
        "config 'a' reads 'data/*.parquet', and no file has such a name.",
        "config 'b' reads '../x.parquet', which is not in this repository.",
        "configs has 'a' twice.",
    ] == list(lint(tmp_path, DATASET))


def test_the_model_card_has_the_numbers_of_its_files_and_no_others(tmp_path):
    """Scores, sizes and languages are those given; the card has no fault, also without any."""
    config = {"n_layer": 3, "n_head": 4, "n_embd": 128, "n_positions": 256, "vocab_size": 4224, "multi_query": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    write_model_card(tmp_path)
    assert [] == list(lint(tmp_path, MODEL))
    assert "It has not been measured yet." in (tmp_path / "README.md").read_text()
    demo = {
        "completions": {
            "pass@1": 0.125,
            "intervals": {"pass@1": [0.0, 0.25]},
            "results": [{"problem": 0}, {"problem": 1}],
        },
        "infill_exact_match": {"all": {"value": 0.375, "low": 0.25, "high": 0.5, "tasks": 8}},
    }
    funnel = funnel_of([entry("", [0, 0, 0, 0]), entry("Java", [10, 8, 8, 6]), entry("Python", [9, 9, 9, 9])])
    (tmp_path / "model-q8_0.gguf").write_bytes(b"")
    write_model_card(tmp_path, demo=demo, funnel=funnel)
    header = yaml.safe_load((tmp_path / "README.md").read_text().split("---\n")[1])
    assert (["Java", "Python"], "gguf") == (header["programming_language"], header["tags"][-1])
    assert [] == list(lint(tmp_path, MODEL))
    text = (tmp_path / "README.md").read_text()
    assert "It has seen Java and Python alone." in text
    assert "`llama-server -m model-q8_0.gguf`." in text
    assert "| demo problems | pass@1 | 0.125 | 0.000 to 0.250 | 2 |" in text
    results = yaml.safe_load(text.split("---\n")[1])["model-index"][0]["results"]
    assert [0.125, 0.375] == [metric["value"] for result in results for metric in result["metrics"]]
    assert "bigcode-openrail-m" in text


def test_the_model_card_has_what_counting_alone_is_worth(tmp_path):
    """Single lines of files held back, in both orders, with the two tables' below; what was not measured is left out."""
    config = {"n_layer": 3, "n_head": 4, "n_embd": 128, "n_positions": 256, "vocab_size": 4224, "multi_query": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    share = {"value": 0.05, "low": 0.025, "high": 0.075, "tasks": 200}
    measures = {"parameters": 1, "tokens": 2, "fim_rate": 0.5, "heldout_files": 3}
    measures |= {"bits_per_byte": 1.5, "unigram_bits_per_byte": 3.0, "exact_match": {"psm": share, "spm": None}}
    measures["baselines"] = {
        "five_gram": {"bits_per_byte": 1.25, "exact_match": {**share, "value": 0.06}},
        "most_frequent_line": {"line": "pass", "exact_match": None},
    }
    write_model_card(tmp_path, measures=measures)
    assert [] == list(lint(tmp_path, MODEL))
    text = (tmp_path / "README.md").read_text()
    assert "| bits per byte of a 5-gram table of the same tokens | 1.250 |" in text
    assert "did not see, prefix first | exact_match | 0.050 | 0.025 to 0.075 | 200 |" in text
    assert "a 5-gram table of the training tokens | exact_match | 0.060 |" in text
    assert "suffix first" not in text
    assert "most frequent" not in text


def test_a_card_on_the_hub_names_repositories(tmp_path):
    """Folders in code become repositories, and the front matter links the model to its data."""
    card = '---\nlicense: bigcode-openrail-m\n---\n# T\n```python\nfrom_pretrained("model")\nopen("model")\n```\n'
    shown = card_for_hub(card, MODEL, repo_ids("org", {"model": "tiny"}))
    assert 'from_pretrained("org/tiny")\nopen("model")' in shown
    assert {"license": "bigcode-openrail-m", "datasets": ["org/santa-data"]} == yaml.safe_load(shown.split("---\n")[1])


@pytest.fixture
def model_card(tmp_path):
    """A folder with a card of a model; returns a function that changes its front matter and gives the faults."""
    good = {"license": "mit", "pipeline_tag": "text-generation", "library_name": "transformers"}

    def faults(**change):
        (tmp_path / "README.md").write_text(f"---\n{yaml.safe_dump({**good, **change})}---\n# T\n")
        return list(lint(tmp_path, MODEL))

    return faults


@pytest.mark.parametrize(
    "change",
    [
        {"license": "gpl-3.0"},
        {"license": "llama3.1"},
        {"license": ["mit", "apache-2.0"]},
        {"license": "other", "license_name": "own", "license_link": "https://example.com/licence"},
        {"language": ["en", "zh-Hans", "pt-BR", "es-419"]},
        {"base_model": "bigcode/santacoder"},
    ],
)
def test_what_the_hub_takes_is_no_fault(model_card, change):
    """Any licence of the Hub's, languages with script and region, a base model."""
    assert [] == model_card(**change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"license": "gpl3"}, "license is 'gpl3'"),
        ({"license": None}, "license is None"),
        ({"license": "other", "license_name": "own"}, "give LICENSE, a file here"),
        ({"license": "mit", "license_link": "LICENSE"}, "neither an https address nor a file"),
        ({"license": "bigcode-openrail-m"}, "names the address of its text as license_link"),
        ({"language": "zh_hans"}, "'zh_hans' is no ISO 639 or BCP 47 code"),
        ({"base_model": "santacoder"}, "base_model names 'santacoder'"),
    ],
)
def test_what_the_hub_does_not_take_is_one_fault(model_card, change, words):
    """One wrong key is one line."""
    found = model_card(**change)
    assert 1 == len(found)
    assert words in found[0]


@pytest.mark.parametrize(
    ("data_files", "words"),
    [
        ("data/*.parquet", None),
        (["data/a.parquet", "data/*.parquet"], None),
        ({"train": "data/a.parquet"}, None),
        ([{"split": "train", "path": ["data/a.parquet"]}], None),
        ("b/*.parquet", "no file has such a name"),
        ([{"split": "train"}], "Expected a path, a list of paths"),
        (7, "Expected a path, a list of paths"),
    ],
)
def test_data_files_have_every_form_of_the_hub(tmp_path, data_files, words):
    """A pattern alone, a list, a mapping of splits, or split and path; anything else is a fault, not a traceback."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.parquet").touch()
    header = {"license": "other", "configs": [{"config_name": "a", "data_files": data_files}]}
    (tmp_path / "README.md").write_text(f"---\n{yaml.safe_dump(header)}---\n# T\n")
    found = list(lint(tmp_path, DATASET))
    assert [words is not None, words or ""] == [bool(found), words if words and words in found[0] else ""]


def test_sizes_are_those_of_the_hub(tmp_path):
    """The same words as in `datasets`; "n>10M", which the Hub never knew, is a fault."""
    from datasets.utils import resources

    known = json.loads((Path(resources.__file__).parent / "size_categories.json").read_text())
    assert sorted(known) == sorted(SIZES)
    (tmp_path / "README.md").write_text("---\nlicense: mit\nsize_categories: n>10M\nconfigs: []\n---\n# T\n")
    assert "size_categories has 'n>10M'" in next(lint(tmp_path, DATASET))


def test_a_card_that_leads_to_the_readers_own_machine_is_a_fault(metric):
    """Visitors of a Space can't reach 127.0.0.1; the demo's card names its repository after publishing."""
    readme = metric / "README.md"
    readme.write_text(readme.read_text() + "\nOpen http://127.0.0.1:7860 in a browser.\n")
    assert [
        "it sends its readers to http://127.0.0.1:7860, their own machine. Write the Space's address, or none."
    ] == list(lint(metric, METRIC))
    card = (space_source() / "README.md").read_text()
    assert 'Client("me/santa-demo")' in card_for_hub(card, KINDS["space"], repo_ids("me"))


@pytest.mark.parametrize(("bits", "words"), [(1.5, "so 50 % fewer"), (3.0, "so no fewer"), (3.3, "so 10 % more")])
def test_a_card_compares_in_words_that_hold(bits, words):
    """A model that is no better than counting tokens is not "-0% fewer"."""
    assert words in _compared(bits, 3.0)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (CardWords(), "[BigCode OpenRAIL-M v1](https://"),
        (CardWords("Mine", "apache-2.0", None, "bigcode/santacoder"), "The weights are under apache-2.0."),
        (CardWords("Mine", "other", "https://example.com/l"), "The weights are under [other](https://example.com/l)."),
    ],
)
def test_a_card_has_its_owners_words(tmp_path, words, sentence):
    """Title, licence and base model are the owner's, in the front matter and in the text; the card has no fault."""
    config = {"n_layer": 2, "n_head": 4, "n_embd": 32, "n_positions": 64, "vocab_size": 300, "multi_query": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    write_model_card(tmp_path, words=words)
    text = (tmp_path / "README.md").read_text()
    assert f"# {words.title}\n" in text
    assert sentence in text
    header = yaml.safe_load(text.split("---\n")[1])
    assert (words.license, words.base_model) == (header["license"], header.get("base_model"))
    assert [] == list(lint(tmp_path, MODEL))
