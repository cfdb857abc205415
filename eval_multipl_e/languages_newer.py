"""The languages that MultiPL-E's evaluator got later, as far as Debian has what runs them and their prompts.

Commands and names of endings are those of its evaluator; `hello` and everything that strict mode adds are ours. Not here:
Common Lisp (its prompts load serapeum, which Debian lacks) and Zig (its translated prompts are no Zig).
"""

import re

from .languages_row import Ending, Language, marked

_ERT_RUN = """(let ((santa (ert-run-tests-batch t)))
  (if (and (zerop (ert-stats-completed-unexpected santa)) (> (ert-stats-total santa) 0))
      (princ "\\n{token}\\n")
    (kill-emacs 1)))"""
_SRFI_64_END = """(let ((santa (test-runner-current)))
  (test-end)
  (if (and (zero? (test-runner-fail-count santa)) (zero? (test-runner-xpass-count santa)))
      (begin (display "\\n{token}\\n") (force-output))))"""


def _scheme(ending: Ending) -> str:
    if ending.exit_code is None:
        return "Timeout"
    failed = re.search(r"# of unexpected failures +[1-9]", ending.stdout)
    passed = re.search(r"# of expected passes +[1-9]", ending.stdout)
    return "OK" if ending.exit_code == 0 and passed and not failed else "Exception"


def _emacs_lisp(ending: Ending) -> str:
    if ending.exit_code is None:
        return "Timeout"
    said = "\nRan 1 tests, 1 results as expected, 0 unexpected" in ending.stderr
    return "OK" if ending.exit_code == 0 and said else "Exception"


NEWER = (
    Language(
        code="tcl",
        name="Tcl",
        file_name="main.tcl",
        run=("tclsh", "{source}"),
        # tclsh has no flag for its version.
        version=("sh", "-c", "echo 'puts [concat Tcl [info patchlevel]]' | tclsh"),
        install="apt-get install tcl",
        hello="if {1 != 1} {\n    error no\n}",
        rule=marked(),
        epilogue='\n::puts "\\n{token}"\n',
    ),
    Language(
        code="scm",
        name="Scheme",
        file_name="main.scm",
        run=("guile", "--no-auto-compile", "{source}"),
        version=("guile", "--version"),
        install="apt-get install guile-3.0",
        hello='(import (srfi srfi-64))\n(test-begin "one")\n(test-equal 1 1)\n(test-end)',
        rule=_scheme,
        # Differs from MultiPL-E, whose evaluator misses a summary that comes after its last look, by chance.
        is_polled=False,
        # A failed test of SRFI 64 ends no program: it is counted, and the count is looked at.
        swap=(r"\(test-end\)", _SRFI_64_END),
        epilogue='\n(display "\\n{token}\\n")\n',
        is_epilogue_only_without_swap=True,
        data_bytes=4 << 30,
    ),
    Language(
        code="el",
        name="Emacs Lisp",
        file_name="main.el",
        run=("emacs", "-batch", "-l", "ert", "-l", "{source}", "-f", "ert-run-tests-batch-and-exit"),
        strict_run=("emacs", "-batch", "-l", "ert", "-l", "{source}", "--eval", _ERT_RUN),
        version=("emacs", "--version"),
        install="apt-get install emacs-nox",
        hello="(ert-deftest test-one () (should (equal 1 1)))",
        rule=_emacs_lisp,
        is_polled=False,  # as for Scheme
        data_bytes=4 << 30,
    ),
    Language(
        code="pas",
        name="Pascal",
        file_name="main.pas",
        build=(("fpc", "{source}", "-o{dir}/main"),),
        run=("{dir}/main",),
        version=("fpc", "-iW"),
        install="apt-get install fp-compiler",
        hello="{$mode objfpc}{$C+}\nbegin\n  Assert(1 = 1);\nend.\n",
        rule=marked(),
        swap=(r"(?i)\bend\.", ";WriteLn; WriteLn('{token}'); Flush(Output); end."),
        is_epilogue_only_without_swap=True,
    ),
)
