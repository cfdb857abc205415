"""The languages whose programs are run as they are.

Commands, time limits and names of endings are those of MultiPL-E's evaluator; `hello` and everything that strict mode
adds are ours.
"""

import re

from .languages_row import Ending, Language, marked

# Debian's jar of Clojure; `clojure.main` of the script `clojure` is in it.
CLOJURE_JAR = "/usr/share/java/clojure-1.11.jar"
# No second compiler and no threads of a collector: a program of a test ends before they pay.
CLOJURE_FLAGS = ("-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1")
_NODE = (("AssertionError", "ERR_ASSERTION"), ("SyntaxError", "SyntaxError"), ("ReferenceError", "ReferenceError"))


def _perl(ending: Ending) -> str:
    if ending.exit_code is None:
        return "Timeout"
    return "OK" if ending.exit_code == 0 and "ERROR" not in ending.both else "Exception"


def _php(ending: Ending) -> str:
    # MultiPL-E has no Timeout here: an endless program is an Exception.
    if "PHP Parse error" in ending.stdout:
        return "SyntaxError"
    return "OK" if ending.exit_code == 0 else "Exception"


def _racket(ending: Ending) -> str:
    # rackunit ends with exit code 0 when checks fail. MultiPL-E has no Timeout here either.
    if ending.stderr or ending.exit_code != 0:
        return "SyntaxError" if "read-syntax" in ending.stderr else "Exception"
    return "OK"


def _r(ending: Ending) -> str:
    if ending.exit_code in (None, 0):
        return "Timeout" if ending.exit_code is None else "OK"
    if "unexpected" in ending.both:
        return "SyntaxError"
    return "Exception" if ending.stderr else "AssertionError"


def _ruby(ending: Ending) -> str:
    if ending.exit_code in (None, 0):
        return "Timeout" if ending.exit_code is None else "OK"
    # test-unit reports on standard output; whatever is on standard error counts as a mistake of syntax.
    return "SyntaxError" if ending.stderr else "Exception"


def _julia(ending: Ending) -> str:
    if ending.exit_code in (None, 0):
        return "Timeout" if ending.exit_code is None else "OK"
    return "SyntaxError" if ending.stderr else "Exception"


def _haskell(ending: Ending) -> str:
    if ending.exit_code in (None, 0):
        return "Timeout" if ending.exit_code is None else "OK"
    return "SyntaxError"


def _clojure(ending: Ending) -> str:
    if ending.exit_code is None:
        return "Timeout"
    return "OK" if ending.exit_code == 0 and "\n0 failures, 0 errors.\n" in ending.stdout else "Exception"


def _clojure_strict(ending: Ending) -> str:
    # Nothing but the last summary counts: an earlier one may be the program's own.
    found = re.findall(r"\n(\d+) failures, (\d+) errors\.\n", ending.stdout)
    return "OK" if found and found[-1] == ("0", "0") else "Exception"


INTERPRETED = (
    Language(
        code="py",
        name="Python",
        file_name="main.py",
        run=("python", "-I", "{source}"),
        version=("python", "--version"),
        install="apt-get install python3",
        hello="assert True",
        rule=marked(("SyntaxError", "SyntaxError")),
        # os.write, for a program may have replaced sys.stdout or print.
        epilogue='\n__import__("os").write(1, b"\\n{token}\\n")\n',
        strict_marks=(
            ("SyntaxError", "\nSyntaxError:"),
            ("SyntaxError", "\nIndentationError:"),
            ("SyntaxError", "\nTabError:"),
            ("AssertionError", "\nAssertionError"),
        ),
        upstream="python3 FILE",
    ),
    Language(
        code="js",
        name="JavaScript",
        file_name="main.js",
        run=("node", "{source}"),
        version=("node", "--version"),
        install="apt-get install nodejs",
        hello="require('node:assert').ok(true);",
        rule=marked(*_NODE, polled=False),
        run_timeout_s=5.0,
        is_polled=False,
        # globalThis, for a program may well have a function called `process`.
        epilogue='\n;globalThis.process.stdout.write("\\n{token}\\n");\n',
    ),
    Language(
        code="sh",
        name="Bash",
        file_name="main.sh",
        run=("bash", "{source}"),
        version=("bash", "--version"),
        install="apt-get install bash",
        hello="[[ 1 = 1 ]]",
        rule=marked(("SyntaxError", "syntax error")),
        epilogue="\nsanta_status=$?; [ $santa_status = 0 ] && printf '\\n%s\\n' {token}; exit $santa_status\n",
    ),
    Language(
        code="lua",
        name="Lua",
        file_name="main.lua",
        run=("lua", "{source}"),
        version=("lua", "-v"),
        install="apt-get install lua5.3 lua-unit",
        hello="lu = require('luaunit')\nfunction test_one() lu.assertEquals(1, 1) end\nos.exit(lu.LuaUnit.run())",
        rule=marked(),
        swap=(
            r"os\.exit\(lu\.LuaUnit\.run\(\)\)",
            'do local santa = lu.LuaUnit.run() if santa == 0 then io.stdout:write("\\n{token}\\n") end os.exit(santa) end',
        ),
        epilogue='\nio.stdout:write("\\n{token}\\n")\n',
        is_epilogue_only_without_swap=True,
    ),
    Language(
        code="pl",
        name="Perl",
        file_name="main.pl",
        run=("perl", "{source}"),
        version=("perl", "-e", "print qq{perl $^V\\n}"),
        install="apt-get install perl libtest-deep-perl",
        hello="use Test::Deep;\nexit 1 unless eq_deeply(1, 1);",
        rule=_perl,
        epilogue='\nsyswrite(STDOUT, "\\n{token}\\n");\n',
    ),
    Language(
        code="php",
        name="PHP",
        file_name="main.php",
        run=("php", "{source}"),
        version=("php", "--version"),
        install="apt-get install php-cli",
        hello="<?php\nif (1 !== 1) { throw new Exception('x'); }",
        rule=_php,
        epilogue='\nfwrite(STDOUT, "\\n{token}\\n");\n',
    ),
    Language(
        code="r",
        name="R",
        file_name="main.r",
        run=("Rscript", "{source}"),
        version=("Rscript", "--version"),
        install="apt-get install r-base-core",
        hello="stopifnot(isTRUE(all.equal(1, 1)))",
        rule=_r,
        run_timeout_s=5.0,
        is_polled=False,
        epilogue='\nbase::cat("\\n{token}\\n")\n',
    ),
    Language(
        code="rb",
        name="Ruby",
        file_name="main.rb",
        run=("ruby", "{source}"),
        version=("ruby", "--version"),
        install="apt-get install ruby ruby-test-unit",
        hello="require 'test/unit'\nclass TestOne < Test::Unit::TestCase\ndef test_one\nassert_equal(1, 1)\nend\nend",
        rule=_ruby,
        run_timeout_s=5.0,
        is_polled=False,
        # A warm Ruby has Test::Unit before the program asks for it, and no DATA: a program that could tell is started cold.
        fork_pattern=(
            r"(?s)(?!.*(?:^__END__$|\b(?:DATA|ObjectSpace|LOADED_FEATURES|constants)\b))"
            r"(?:(?!\bTest\b|defined\?).)*^require 'test/unit'$"
        ),
        # test-unit runs the tests when the interpreter exits; a block given here runs when they are through.
        epilogue=(
            "\nif defined?(Test::Unit) then Test::Unit.at_exit { STDOUT.write(%q({token}).prepend(10.chr) + 10.chr) }"
            "\nelse STDOUT.write(%q({token}).prepend(10.chr) + 10.chr) end\n"
        ),
    ),
    Language(
        code="rkt",
        name="Racket",
        file_name="main.rkt",
        run=("racket", "{source}"),
        version=("racket", "--version"),
        install="apt-get install racket",
        hello="#lang racket\n(require rackunit)\n(check-within 1 1 0.001)",
        rule=_racket,
        # A failed check of rackunit ends nothing: it is counted, and the count is looked at.
        epilogue=(
            "\n(when (zero? (car ((dynamic-require 'rackunit/log 'test-log) #:display? #f #:exit? #f)))"
            '\n  (write-string "\\n{token}\\n" (current-output-port))\n  (void))\n'
        ),
    ),
    Language(
        code="jl",
        name="Julia",
        file_name="main.jl",
        run=("julia", "{source}"),
        version=("julia", "--version"),
        install="Debian 12 has no package: unpack a release of julialang.org and put its bin on PATH",
        hello="using Test\n@test(1 == 1)",
        rule=_julia,
        run_timeout_s=5.0,
        epilogue='\nprint("\\n{token}\\n")\n',
        data_bytes=4 << 30,
        is_run_here=False,
    ),
    Language(
        code="ml",
        name="OCaml",
        file_name="main.ml",
        run=("ocaml", "{source}"),
        version=("ocaml", "-version"),
        install="apt-get install ocaml-nox",
        hello="let () = assert (1 = 1)",
        rule=marked(("AssertionError", "Assert_failure"), ("SyntaxError", "Syntax error")),
        epilogue='\n;;\nlet () = print_string "\\n{token}\\n"\n',
    ),
    Language(
        code="hs",
        name="Haskell",
        file_name="main.hs",
        run=("runghc", "{source}"),
        version=("ghc", "--version"),
        install="apt-get install ghc",
        hello="main :: IO ()\nmain = return ()",
        rule=_haskell,
        strict_run=("ghc", "-e", 'main >> putStr "\\n{token}\\n"', "{source}"),
        data_bytes=4 << 30,
        processes=128,
    ),
    Language(
        code="clj",
        name="Clojure",
        file_name="main.clj",
        run=("clojure", "{source}"),
        version=("clojure", "-e", '(println "Clojure" (clojure-version))'),
        install="apt-get install clojure",
        hello="(require '[clojure.test :refer [deftest is run-tests]])\n(deftest one (is (= 1 1)))\n(run-tests)",
        rule=_clojure,
        epilogue='\n(print "\\n{token}\\n")\n(flush)\n',
        strict_rule=_clojure_strict,
        data_bytes=4 << 30,
        processes=256,
        # The same start with the classes that every program loads mapped from an archive, beside the script's own way.
        warm_run=(
            "java",
            *CLOJURE_FLAGS,
            "-XX:SharedArchiveFile={artefacts}/clojure.jsa",
            "-cp",
            CLOJURE_JAR,
            "clojure.main",
            "{source}",
        ),
        artefacts="clj",
        upstream="clojure -J-Dclojure.main.report=stderr -M FILE",  # the Clojure CLI; Debian has clojure.main
    ),
    Language(
        code="elixir",
        name="Elixir",
        file_name="main.exs",
        run=("elixir", "{source}"),
        version=("elixir", "--short-version"),
        install="apt-get install elixir",
        hello="ExUnit.start()\ndefmodule One do\nuse ExUnit.Case\ntest 'one' do\nassert 1 == 1\nend\nend",
        rule=marked(("AssertionError", "Assertion with == failed"), ("SyntaxError", "SyntaxError"), polled=False),
        run_timeout_s=5.0,
        is_polled=False,
        epilogue='\nExUnit.after_suite(fn _ -> IO.write("\\n{token}\\n") end)\n',
        processes=128,
    ),
)
