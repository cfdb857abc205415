"""The languages whose programs are built before they run.

Commands, time limits and names of endings are those of MultiPL-E's evaluator; `hello` and everything that strict mode
adds are ours.
"""

from .languages_row import GIB, Ending, Language, marked

_NODE = (("AssertionError", "ERR_ASSERTION"), ("SyntaxError", "SyntaxError"), ("ReferenceError", "ReferenceError"))
# Serial collector and no perf file: no helper threads by core count, nothing written outside the program's folder.
JVM = ("-XX:+UseSerialGC", "-XX:-UsePerfData")
JAVATUPLES = ("org.javatuples", "javatuples", "apt-get install libjavatuples-java")
_JAVA_DRIVER = """
public class SantaDriver {
    public static void main(String[] args) throws Throwable {
        try {
            Class.forName("Problem").getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (java.lang.reflect.InvocationTargetException error) {
            throw error.getCause();
        }
        new java.io.FileOutputStream(java.io.FileDescriptor.out).write("\\n{token}\\n".getBytes());
    }
}
"""
_SCALA_DRIVER = """
object SantaDriver {
  def main(args: Array[String]): Unit = {
    Problem.main(args)
    new java.io.FileOutputStream(java.io.FileDescriptor.out).write("\\n{token}\\n".getBytes)
  }
}
"""
_CSHARP_DRIVER = """
class SantaDriver : System.Diagnostics.TraceListener {
    public override void Write(string text) { System.Console.Error.Write(text); }
    public override void WriteLine(string text) { System.Console.Error.WriteLine(text); }
    public override void Fail(string text, string more) {
        System.Console.Error.WriteLine("Assertion failed: " + text + " " + more + "\\n" + System.Environment.StackTrace);
        System.Environment.Exit(134);
    }
    static void Main(string[] args) {
        System.Diagnostics.Debug.Listeners.Clear();
        System.Diagnostics.Debug.Listeners.Add(new SantaDriver());
        Problem.Main(args);
        System.Console.Write("\\n{token}\\n");
    }
}
"""
# Strict mode has the linker put this before the program's own main.
_CPP_EPILOGUE = """
extern "C" int __real_main(int, char**);
extern "C" long write(int, const void*, unsigned long);
extern "C" int __wrap_main(int santa_count, char** santa_words) {
    int santa_status = __real_main(santa_count, santa_words);
    if (santa_status == 0 && write(1, "\\n{token}\\n", sizeof("\\n{token}\\n") - 1) < 0) return 1;
    return santa_status;
}
"""
_GO_DRIVER = """
package {package}

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		os.Stdout.WriteString("\\n{token}\\n")
	}
	os.Exit(code)
}
"""
_ADA_DRIVER = """
with Ada.Text_IO;
with Main;
procedure Santa_Driver is
begin
   Main;
   Ada.Text_IO.New_Line;
   Ada.Text_IO.Put_Line ("{token}");
end Santa_Driver;
"""
_GNATMAKE = ("-o", "{dir}/main", "-g", "-j0", "-gnata", "-gnat2022", "-gnateE", "-bargs", "-Es")


def _csharp(ending: Ending) -> str:
    # A failed Debug.Assert leaves mono's exit code 0, so only what it says on standard error counts.
    if ending.exit_code is None:
        return "Timeout"
    fails = ("System.Diagnostics.DefaultTraceListener.Fail", "Unhandled Exception")
    return "Exception" if any(text in ending.stderr for text in fails) else "OK"


def _d(ending: Ending) -> str:
    return marked(("SyntaxError", "Error:"))(ending)


def _go(ending: Ending) -> str:
    if ending.exit_code is None:
        return "Timeout"
    if "[setup failed]" in ending.stdout or "[build failed]" in ending.stdout:
        return "SyntaxError"
    return "Exception" if "FAIL" in ending.stdout else "OK"


def _scala(ending: Ending) -> str:
    if ending.exit_code is None:
        return "Timeout"
    return "OK" if ending.exit_code == 0 and ending.stderr == "" else "Exception"


COMPILED = (
    Language(
        code="java",
        name="Java",
        file_name="main.java",  # MultiPL-E's temporary file has another name than the class, which so is not public
        build=(
            (
                "javac",
                *(f"-J{flag}" for flag in JVM),
                # Measured on a small program: 0.91 s in place of 1.39 s, for it ends before the second compiler pays.
                "-J-XX:TieredStopAtLevel=1",
                "-proc:none",
                "-encoding",
                "UTF8",
                "-cp",
                "{jar}",
                "-d",
                "{dir}",
                "{sources}",
            ),
        ),
        run=("java", *JVM, "-Xmx1g", "-ea", "-cp", "{dir}:{jar}", "{main}"),
        version=("javac", "-version"),
        install="apt-get install default-jdk-headless",
        hello="class Problem { public static void main(String[] args) { assert true; } }",
        rule=marked(),
        main="Problem",
        driver_name="SantaDriver.java",
        driver=_JAVA_DRIVER,
        strict_marks=(("AssertionError", 'Exception in thread "main" java.lang.AssertionError'),),
        data_bytes=4 * GIB,
        processes=256,
        needs=(JAVATUPLES,),
        upstream="javac -encoding UTF8 -d DIR FILE; java -ea -cp DIR:JAR Problem",
    ),
    Language(
        code="ts",
        name="TypeScript",
        file_name="main.ts",
        build=(("tsc", "--target", "esnext", "{source}"),),
        run=("node", "{dir}/main.js"),
        version=("tsc", "--version"),
        install="npm install --global typescript@5.9.3",
        hello="declare var require: any;\nrequire('node:assert').ok(true);",
        rule=marked(*_NODE),
        epilogue='\n;(globalThis as any).process.stdout.write("\\n{token}\\n");\n',
    ),
    Language(
        code="cpp",
        name="C++",
        file_name="main.cpp",
        build=(("g++", "{source}", "-o", "{dir}/main", "-std=c++17"),),
        run=("{dir}/main",),
        version=("g++", "--version"),
        install="apt-get install g++",
        hello="#include<assert.h>\n#include<bits/stdc++.h>\nint main() { assert(1 == 1); }",
        rule=marked(),
        epilogue=_CPP_EPILOGUE,
        strict_build=(("g++", "{source}", "-o", "{dir}/main", "-std=c++17", "-Wl,--wrap=main"),),
        # The headers that every MultiPL-E program begins with, compiled beforehand; others are built cold.
        warm_pattern=r"\A\s*#include ?<assert\.h>\s*#include ?<bits/stdc\+\+\.h>\s",
        warm_arguments=("-include", "{artefacts}/santa.h", "-fuse-ld=gold"),
        artefacts="cpp",
    ),
    Language(
        code="cs",
        name="C#",
        file_name="main.cs",
        build=(("mcs", "/d:DEBUG", "-r:System.Numerics.dll", "{sources}", "/out:{dir}/main.exe"),),
        run=("mono", "{dir}/main.exe"),
        version=("mcs", "--version"),
        install="apt-get install mono-mcs",
        hello="class Problem { public static void Main(string[] args) { } }",
        rule=_csharp,
        run_timeout_s=5.0,
        build_timeout_s=60.0,
        is_polled=False,
        env=(("MONO_TRACE_LISTENER", "Console.Error"),),
        driver_name="SantaDriver.cs",
        driver=_CSHARP_DRIVER,
        strict_build=(
            ("mcs", "/d:DEBUG", "-r:System.Numerics.dll", "-main:SantaDriver", "{sources}", "/out:{dir}/main.exe"),
        ),
        upstream="csc /d:DEBUG -r:System.Numerics.dll FILE /out:EXE; mono EXE",  # Debian has mono's mcs, not csc
    ),
    Language(
        code="d",
        name="D",
        file_name="main.d",
        build=(("ldmd2", "-unittest", "-of={dir}/main", "-od={dir}", "{source}"),),
        run=("{dir}/main",),
        version=("ldmd2", "--version"),
        install="apt-get install ldc",
        hello="unittest { assert(1 == 1); }\nvoid main(){}",
        rule=_d,
        build_rule=_d,
        build_timeout="Timeout",
        is_one_limit=True,
        strict_run=("{dir}/main", "--DRT-testmode=run-main"),
        swap=(
            r"void\s+main\s*\(\s*\)\s*\{\s*\}",
            'void main(){ import core.stdc.stdio : printf; printf("\\n{token}\\n"); }',
        ),
        upstream="rdmd -unittest FILE",  # Debian's ldc comes without rdmd
    ),
    Language(
        code="go",
        name="Go",
        file_name="main_test.go",
        run=("go", "test", "{source}"),
        version=("go", "version"),
        install="apt-get install golang-go",
        hello='package one_test\n\nimport "testing"\n\nfunc TestOne(t *testing.T) {\n}\n',
        rule=_go,
        run_timeout_s=30.0,
        is_polled=False,
        env=(("GO111MODULE", "off"), ("GOPROXY", "off"), ("GOCACHE", "{artefacts}")),
        artefacts="go",
        driver_name="santa_driver_test.go",
        driver=_GO_DRIVER,
        strict_run=("go", "test", "-v", "{sources}"),
        data_bytes=4 * GIB,
        processes=256,
    ),
    Language(
        code="rs",
        name="Rust",
        file_name="main.rs",
        build=(("rustc", "{source}", "-o", "{dir}/main"),),
        run=("{dir}/main",),
        version=("rustc", "--version"),
        install="apt-get install rustc",
        hello="fn main() { assert_eq!(1, 1); }",
        rule=marked(),
        run_timeout_s=5.0,
        build_timeout="Timeout",
        is_polled=False,
        # The same program by one unit of work in place of 256, and a linker that is quicker.
        warm_arguments=("-Ccodegen-units=1", "-Clink-arg=-fuse-ld=gold"),
        warm_pattern=r"",
        swap=(r"fn\s+main\s*\(\s*\)", "fn santa_main()"),
        epilogue=(
            "\nfn main() { santa_main(); "
            'std::io::Write::write_all(&mut std::io::stdout(), b"\\n{token}\\n").unwrap(); }\n'
        ),
        data_bytes=4 * GIB,
        processes=128,
    ),
    Language(
        code="scala",
        name="Scala",
        file_name="main.scala",
        build=(("scalac", "-d", "{dir}", "{sources}"),),
        run=("scala", "-cp", "{dir}", "{main}"),
        version=("scalac", "-version"),
        install="apt-get install scala",
        hello="object Problem { def main(args: Array[String]): Unit = { assert(1 == 1) } }",
        rule=_scala,
        build_timeout_s=45.0,
        main="Problem",
        driver_name="SantaDriver.scala",
        driver=_SCALA_DRIVER,
        data_bytes=4 * GIB,
        processes=256,
        # The script `scala` starts the whole compiler to run a class; its limit of memory is the same.
        warm_run=("java", *JVM, "-Xmx256M", "-Xms32M", "-cp", "{dir}:{scala}", "{main}"),
    ),
    Language(
        code="swift",
        name="Swift",
        file_name="main.swift",
        build=(("swiftc", "{source}", "-o", "{dir}/main"),),
        run=("{dir}/main",),
        version=("swiftc", "--version"),
        install="Debian 12 has no package: unpack a release of swift.org and put its usr/bin on PATH",
        hello="assert(1 == 1)",
        rule=marked(),
        run_timeout_s=5.0,
        build_timeout_s=45.0,
        build_timeout="Timeout",
        epilogue='\nprint("\\n{token}")\n',
        data_bytes=4 * GIB,
        processes=128,
        is_run_here=False,
    ),
    Language(
        code="ada",
        name="Ada",
        file_name="ada/source.txt",
        build=(
            ("gnatchop", "-w", "{source}", "{dir}/ada"),
            ("gnatmake", "-gnatW8", "-D", "{dir}/ada", "{dir}/ada/main.adb", *_GNATMAKE),
        ),
        run=("{dir}/main",),
        version=("gnatmake", "--version"),
        install="apt-get install gnat",
        hello="procedure Main is\nbegin\n   pragma Assert (1 = 1);\nend Main;\n",
        rule=marked(),
        build_failure=("SyntaxError (gnatchop)", "SyntaxError (gnatmake)"),
        driver_name="santa_driver.adb",
        driver=_ADA_DRIVER,
        strict_build=(
            ("gnatchop", "-w", "{source}", "{dir}/ada"),
            ("gnatmake", "-gnatW8", "-aI{dir}/ada", "-D", "{dir}/ada", "{dir}/santa_driver.adb", *_GNATMAKE),
        ),
    ),
)
