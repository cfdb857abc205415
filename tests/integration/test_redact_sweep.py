"""Redaction of whole libraries: every file still parses to the same shape, and a second run changes nothing."""

import ast
import os
import re
import shutil
import subprocess
import sysconfig
import zipfile
from pathlib import Path

import pytest

from data_recipes.pii.find import find_pii
from data_recipes.pii.finding import Finding
from data_recipes.pii.redaction import redact, redact_with
from data_recipes.pii.replacements import STYLES

STDLIB = Path(os.__file__).parent
# Any literal of 16 letters and digits or more, to have many finds in every place where a key may stand.
LITERAL = re.compile(r"(?<=[\"'])[A-Za-z0-9_]{16,}(?=[\"'])")


def eager(text):
    """A detector that takes every long literal of one word for a key, besides what `find_pii` finds."""
    return [*find_pii(text), *(Finding(m.start(), m.end(), "KEY", "literal") for m in LITERAL.finditer(text))]


def shape(source):
    return [type(node).__name__ for node in ast.walk(ast.parse(source))]


def python_files(step):
    paths = [path for path in sorted(STDLIB.rglob("*.py")) if "site-packages" not in path.parts]
    for path in paths[::step]:
        source = path.read_bytes().decode("utf-8", "surrogateescape")
        try:
            ast.parse(source)
        except (SyntaxError, ValueError):  # the tests of the parser itself
            continue
        yield path, source


@pytest.mark.slow
def test_the_whole_standard_library_stays_as_it_was():
    """Every file of it parses to the same tree, keeps its lines, and is not changed by a second run."""
    changed = 0
    for path, source in python_files(1):
        result = redact(source)
        if not result.findings:
            continue
        changed += 1
        assert shape(result.text) == shape(source), path
        assert result.text.count("\n") == source.count("\n"), path
        assert redact(result.text).text == result.text, path
    assert changed >= 100


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_keys_anywhere_in_literals_leave_programs_whole(style):
    """Even where every long literal is taken for a key, a sample of the library parses to the same tree."""
    changed = 0
    for path, source in python_files(6):
        result = redact_with(eager, source, style=style)
        changed += bool(result.findings)
        assert shape(result.text) == shape(source), path
        assert redact_with(eager, result.text, style=style).text == result.text, path
    assert changed >= 50


def changed_sources(sources, style):
    """The redacted texts of the sources with finds, each checked against a second run."""
    changed = []
    for name, source in sources:
        result = redact_with(eager, source, style=style)
        if result.findings:
            assert redact_with(eager, result.text, style=style).text == result.text, name
            changed.append((name, source, result.text))
    return changed


# The parser that node itself comes with.
PARSE_JAVASCRIPT = """
const fs = require("fs"), acorn = require("internal/deps/acorn/acorn/dist/acorn");
function shape(source) {
  let types = [];
  const seen = (node) => {
    if (Array.isArray(node)) return node.forEach(seen);
    if (!node || typeof node !== "object") return;
    if (typeof node.type === "string") types.push(node.type);
    for (const key in node) if (key !== "value" && key !== "regex") seen(node[key]);
    if (node.value && node.value.type) seen(node.value);
  };
  for (const sourceType of ["module", "script"]) {
    try {
      seen(acorn.parse(source, { ecmaVersion: "latest", sourceType, allowHashBang: true, allowReturnOutsideFunction: true }));
      return types.join();
    } catch (error) { types = []; }
  }
  return "";
}
for (const name of process.argv.slice(1)) {
  const types = shape(fs.readFileSync(name, "utf8"));
  console.log(types ? require("crypto").createHash("sha256").update(types).digest("hex") : "");
}
"""

PARSE_JAVA = """
import com.sun.source.tree.*; import com.sun.source.util.*; import java.nio.file.*; import java.util.*;
import javax.tools.*;
public class Shapes {
  public static void main(String[] names) throws Exception {
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    for (String name : names) {
      var files = compiler.getStandardFileManager(null, null, null).getJavaFileObjects(Path.of(name));
      var errors = new DiagnosticCollector<JavaFileObject>();
      var task = (JavacTask) compiler.getTask(null, null, errors, List.of("-proc:none"), null, files);
      StringBuilder shape = new StringBuilder();
      for (CompilationUnitTree unit : task.parse()) new TreeScanner<Void, Void>() {
        public Void scan(Tree tree, Void nothing) {
          if (tree != null) shape.append(tree.getKind().ordinal()).append(',');
          return super.scan(tree, nothing);
        }
      }.scan(unit, null);
      System.out.println(errors.getDiagnostics().size() + " " + shape.toString().hashCode());
    }
  }
}
"""


def written(folder, texts, suffix):
    names = []
    for number, text in enumerate(texts):
        path = folder / f"{number}{suffix}"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        names.append(str(path))
    return names


@pytest.mark.slow
@pytest.mark.toolchain
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("style", STYLES)
def test_javascript_parses_as_before(tmp_path, style):
    """Node's parser gives the same tree of every file that it can read."""
    folders = [Path("/usr/lib/node_modules"), Path("/usr/share/nodejs"), Path(sysconfig.get_paths()["purelib"])]
    paths = [path for folder in folders if folder.is_dir() for path in sorted(folder.rglob("*.js"))]
    sources = [(p, p.read_bytes().decode("utf-8", "surrogateescape")) for p in paths if p.stat().st_size < 200_000]
    changed = changed_sources(sources[:5000], style)
    if not changed:
        pytest.skip("no JavaScript with finds: neither npm nor a package with scripts is installed")
    names = written(tmp_path, [text for _, *both in changed for text in both], ".js")
    command = ["node", "--expose-internals", "-e", PARSE_JAVASCRIPT, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    shapes = done.stdout.splitlines()
    assert len(shapes) == len(names)
    assert shapes[0::2] == shapes[1::2]
    assert shapes.count("") < 0.2 * len(shapes)  # JSX and other dialects


def java_sources():
    """5,000 files of the JDK where its sources are installed, or else a few classes of our own."""
    archives = [path for path in sorted(Path("/usr/lib/jvm").glob("*/lib/src.zip")) if path.exists()]
    if not archives:
        body = 'String key = "Abcdefghij01234567890{n}"; // bob{n}@corp.io'
        return [
            (f"C{n}.java", f"class C{n} {{\n  {body.format(n=n)}\n  int run() {{ return {n}; }}\n}}\n")
            for n in range(20)
        ]
    with zipfile.ZipFile(archives[-1]) as archive:
        inside = [name for name in sorted(archive.namelist()) if name.endswith(".java")]
        step = max(1, len(inside) // 5000)
        return [(name, archive.read(name).decode("utf-8", "surrogateescape")) for name in inside[::step]]


@pytest.mark.slow
@pytest.mark.toolchain
@pytest.mark.skipif(shutil.which("javac") is None, reason="javac is not installed")
@pytest.mark.parametrize("style", STYLES)
def test_java_parses_to_the_same_tree(tmp_path, style):
    """Javac gives the same errors, mostly none, and the same tree kinds for 5,000 files of the JDK where its sources are installed."""
    changed = changed_sources(java_sources(), style)
    names = written(tmp_path, [text for _, *both in changed for text in both], ".java")
    (tmp_path / "Shapes.java").write_text(PARSE_JAVA)
    done = subprocess.run(["java", str(tmp_path / "Shapes.java"), *names], capture_output=True, text=True, check=True)
    shapes = done.stdout.splitlines()
    assert len(shapes) == len(names) > 0
    assert shapes[0::2] == shapes[1::2]
    errorless = [shape for shape in shapes if shape.startswith("0 ")]
    assert len(errorless) > 0.9 * len(shapes)  # the sources may be of a newer JDK than the parser
