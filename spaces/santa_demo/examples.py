"""Short programs to start from, for each mode and language."""

from dataclasses import dataclass

COMPLETE = "Complete"
INFILL = "Infill"
MODES = (COMPLETE, INFILL)

# gr.Code has no Java grammar; C++ colours Java's keywords, strings and comments well enough.
EDITOR_LANGUAGE = {"Python": "python", "Java": "cpp", "JavaScript": "javascript"}


@dataclass(frozen=True)
class Example:
    """A name for the button, and the text that goes into the editor."""

    label: str
    text: str


EXAMPLES: dict[tuple[str, str], tuple[Example, ...]] = {
    (COMPLETE, "Python"): (
        Example("Fibonacci", 'def fibonacci(n: int) -> int:\n    """Return the n-th Fibonacci number."""'),
        Example(
            "Count words", 'def count_words(path):\n    """Return a dict from each word in a file to its count."""'
        ),
        Example("Unit test", "def add(a, b):\n    return a + b\n\n\ndef test_add_negative_numbers():\n    assert"),
    ),
    (COMPLETE, "Java"): (
        Example("Is prime", "/** Returns whether n is a prime number. */\npublic static boolean isPrime(int n) {"),
        Example(
            "Point",
            "public final class Point {\n    private final int x;\n    private final int y;\n\n    public Point(",
        ),
        Example(
            "Read lines", "static List<String> readLines(Path path) throws IOException {\n    List<String> lines ="
        ),
    ),
    (COMPLETE, "JavaScript"): (
        Example(
            "Debounce",
            "/** Delays fn until it has not been called for ms milliseconds. */\nfunction debounce(fn, ms) {",
        ),
        Example("Group by", "// Groups the items of an array by the value of a key.\nfunction groupBy(items, key) {"),
        Example("Fetch JSON", "async function fetchJson(url) {\n  const response = await"),
    ),
    (INFILL, "Python"): (
        Example(
            "Docstring",
            'def mean(values):\n    """<FILL_HERE>"""\n    total = sum(values)\n    return total / len(values)\n',
        ),
        Example(
            "Body",
            "def binary_search(items, target):\n    low, high = 0, len(items) - 1\n    while low <= high:\n"
            "        <FILL_HERE>\n    return -1\n",
        ),
        Example("Import", "import <FILL_HERE>\n\n\ndef today():\n    return datetime.date.today().isoformat()\n"),
    ),
    (INFILL, "Java"): (
        Example("Javadoc", "/**\n * <FILL_HERE>\n */\nstatic int max(int a, int b) {\n    return a > b ? a : b;\n}\n"),
        Example(
            "Loop",
            "static int sum(int[] values) {\n    int total = 0;\n    <FILL_HERE>\n    return total;\n}\n",
        ),
        Example(
            "Condition",
            "static boolean isLeapYear(int year) {\n    return <FILL_HERE>;\n}\n",
        ),
    ),
    (INFILL, "JavaScript"): (
        Example(
            "JSDoc",
            "/**\n * <FILL_HERE>\n */\nfunction clamp(x, low, high) {\n  return Math.min(Math.max(x, low), high);\n}\n",
        ),
        Example(
            "Reduce",
            "function total(prices) {\n  return prices.reduce(<FILL_HERE>, 0);\n}\n\nconsole.log(total([1, 2, 3]));\n",
        ),
        Example(
            "Error case",
            "function parse(text) {\n  try {\n    return JSON.parse(text);\n  } catch (error) {\n    <FILL_HERE>\n  }\n}\n",
        ),
    ),
}


def is_untouched(text: str) -> bool:
    """Return whether the editor's text is empty or still an example, so that it may be replaced.

    >>> is_untouched("  "), is_untouched("x = 1")
    (True, False)
    """
    texts = {example.text.strip() for examples in EXAMPLES.values() for example in examples}
    return not text.strip() or text.strip() in texts
