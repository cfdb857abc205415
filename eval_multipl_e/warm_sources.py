"""The programs that keep javac, scalac, mcs and the TypeScript checker running.

Each answers requests on its standard streams, big-endian: a count of sources, then for each a name (2 bytes of length)
and a text (4 bytes of length). The answer: 1 or 0 for built or not, the messages (4 bytes of length), a count of files,
then for each a name and its bytes. They are text here because a metric's folder may hold nothing but Python files.
"""

JAVA = r"""
import java.io.*;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.*;
import javax.tools.*;

public class SantaJavac {
    static final class Source extends SimpleJavaFileObject {
        final String text;
        Source(String name, String text) {
            super(URI.create("santa:///" + name), Kind.SOURCE);
            this.text = text;
        }
        public CharSequence getCharContent(boolean ignoreErrors) { return text; }
        public boolean isNameCompatible(String name, Kind kind) {
            // as javac compares a public class with the name of its file
            String file = toUri().getPath();
            return file.equals("/" + name + kind.extension);
        }
    }

    static final class Classes extends ForwardingJavaFileManager<StandardJavaFileManager> {
        final Map<String, ByteArrayOutputStream> made = new LinkedHashMap<>();
        Classes(StandardJavaFileManager below) { super(below); }
        public JavaFileObject getJavaFileForOutput(Location where, String name, JavaFileObject.Kind kind, FileObject near) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            made.put(name.replace('.', '/') + kind.extension, bytes);
            return new SimpleJavaFileObject(URI.create("santa:///" + name.replace('.', '/') + kind.extension), kind) {
                public OutputStream openOutputStream() { return bytes; }
            };
        }
    }

    public static void main(String[] words) throws Exception {
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in));
        DataOutputStream out = new DataOutputStream(new BufferedOutputStream(new FileOutputStream(FileDescriptor.out)));
        System.setOut(System.err);
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        StandardJavaFileManager files = compiler.getStandardFileManager(null, null, StandardCharsets.UTF_8);
        List<String> options = List.of("-proc:none", "-cp", words[0]);
        while (true) {
            int count;
            try { count = in.readInt(); } catch (EOFException end) { return; }
            List<Source> sources = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                String name = new String(in.readNBytes(in.readUnsignedShort()), StandardCharsets.UTF_8);
                sources.add(new Source(name, new String(in.readNBytes(in.readInt()), StandardCharsets.UTF_8)));
            }
            StringWriter said = new StringWriter();
            Classes classes = new Classes(files);
            boolean isBuilt = compiler.getTask(said, classes, null, options, null, sources).call();
            byte[] text = said.toString().getBytes(StandardCharsets.UTF_8);
            out.writeByte(isBuilt ? 1 : 0);
            out.writeInt(text.length);
            out.write(text);
            out.writeInt(classes.made.size());
            for (Map.Entry<String, ByteArrayOutputStream> each : classes.made.entrySet()) {
                byte[] name = each.getKey().getBytes(StandardCharsets.UTF_8);
                out.writeShort(name.length);
                out.write(name);
                out.writeInt(each.getValue().size());
                each.getValue().writeTo(out);
            }
            out.flush();
        }
    }
}
"""

SCALA = r"""
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;

public class SantaScalac {
    public static void main(String[] words) throws Exception {
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in));
        DataOutputStream out = new DataOutputStream(new BufferedOutputStream(new FileOutputStream(FileDescriptor.out)));
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        PrintStream ear = new PrintStream(said, true);
        System.setOut(ear);
        System.setErr(ear);
        Path base = Paths.get("/tmp/santa");
        for (int turn = 0; ; turn++) {
            int count;
            try { count = in.readInt(); } catch (EOFException end) { return; }
            Path folder = Files.createDirectories(base.resolve(Integer.toString(turn)));
            Path made = Files.createDirectory(folder.resolve("out"));
            List<String> call = new ArrayList<>(List.of("-usejavacp", "-d", made.toString()));
            for (int i = 0; i < count; i++) {
                String name = new String(in.readNBytes(in.readUnsignedShort()), StandardCharsets.UTF_8);
                Path file = folder.resolve(name);
                Files.write(file, in.readNBytes(in.readInt()));
                call.add(file.toString());
            }
            said.reset();
            boolean isBuilt;
            try {
                scala.tools.nsc.Main.process(call.toArray(new String[0]));
                isBuilt = !scala.tools.nsc.Main.reporter().hasErrors();
            } catch (Throwable error) {
                error.printStackTrace(ear);
                isBuilt = false;
            }
            byte[] text = said.toByteArray();
            List<Path> files = new ArrayList<>();
            try (var found = Files.walk(made)) { found.filter(Files::isRegularFile).forEach(files::add); }
            out.writeByte(isBuilt ? 1 : 0);
            out.writeInt(text.length);
            out.write(text);
            out.writeInt(files.size());
            for (Path file : files) {
                byte[] name = made.relativize(file).toString().getBytes(StandardCharsets.UTF_8);
                byte[] body = Files.readAllBytes(file);
                out.writeShort(name.length);
                out.write(name);
                out.writeInt(body.length);
                out.write(body);
            }
            out.flush();
            try (var found = Files.walk(folder)) {
                found.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
            }
        }
    }
}
"""

CSHARP = r"""
using System;
using System.IO;
using System.Reflection;
using System.Text;

class SantaCsc {
    static Stream input, output;

    static byte[] Bytes(int count) {
        var kept = new byte[count];
        for (int at = 0; at < count; ) {
            int read = input.Read(kept, at, count - at);
            if (read <= 0) Environment.Exit(0);
            at += read;
        }
        return kept;
    }
    static int Number(int size) {
        int value = 0;
        foreach (byte each in Bytes(size)) value = value << 8 | each;
        return value;
    }
    static void Number(int value, int size) {
        for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) output.WriteByte((byte) (value >> shift));
    }

    static void Main(string[] words) {
        input = new BufferedStream(Console.OpenStandardInput());
        output = new BufferedStream(Console.OpenStandardOutput());
        var compiler = Assembly.LoadFrom(words[0]).GetType("Mono.CSharp.CompilerCallableEntryPoint");
        var compile = compiler.GetMethod("InvokeCompiler", new[] { typeof(string[]), typeof(TextWriter) });
        while (true) {
            int count = Number(4);
            var call = new string[count + 4];
            bool hasDriver = false;
            for (int i = 0; i < count; i++) {
                string name = Encoding.UTF8.GetString(Bytes(Number(2)));
                hasDriver |= name == "SantaDriver.cs";
                call[i] = "/tmp/" + name;
                File.WriteAllBytes(call[i], Bytes(Number(4)));
            }
            call[count] = "/d:DEBUG";
            call[count + 1] = "-r:System.Numerics.dll";
            call[count + 2] = hasDriver ? "-main:SantaDriver" : "/d:DEBUG";
            call[count + 3] = "/out:/tmp/main.exe";
            File.Delete("/tmp/main.exe");
            var said = new StringWriter();
            bool isBuilt;
            try { isBuilt = (bool) compile.Invoke(null, new object[] { call, said }); }
            catch (Exception error) { said.Write(error); isBuilt = false; }
            byte[] text = Encoding.UTF8.GetBytes(said.ToString());
            isBuilt &= File.Exists("/tmp/main.exe");
            output.WriteByte((byte) (isBuilt ? 1 : 0));
            Number(text.Length, 4);
            output.Write(text, 0, text.Length);
            Number(isBuilt ? 1 : 0, 4);
            if (isBuilt) {
                byte[] body = File.ReadAllBytes("/tmp/main.exe"), label = Encoding.UTF8.GetBytes("main.exe");
                Number(label.Length, 2);
                output.Write(label, 0, label.Length);
                Number(body.Length, 4);
                output.Write(body, 0, body.Length);
            }
            output.Flush();
        }
    }
}
"""

TYPESCRIPT = r"""
const fs = require("fs");
const ts = require(process.argv[2]);

const bytes = (count) => {
  const kept = Buffer.alloc(count);
  for (let at = 0; at < count; ) {
    const read = fs.readSync(0, kept, at, count - at, null);
    if (read === 0) process.exit(0);
    at += read;
  }
  return kept;
};
const libraries = new Map();
const write = (parts) => {
  let left = Buffer.concat(parts);
  while (left.length) {
    try { left = left.subarray(fs.writeSync(1, left)); }
    catch (error) { if (error.code !== "EAGAIN") throw error; }
  }
};
const number = (value) => { const b = Buffer.alloc(4); b.writeUInt32BE(value); return b; };
const short = (value) => { const b = Buffer.alloc(2); b.writeUInt16BE(value); return b; };

for (;;) {
  const count = bytes(4).readUInt32BE();
  const sources = new Map();
  for (let i = 0; i < count; i++) {
    const name = "/program/" + bytes(bytes(2).readUInt16BE()).toString();
    sources.set(name, bytes(bytes(4).readUInt32BE()).toString());
  }
  const parsed = ts.parseCommandLine(["--target", "esnext", ...sources.keys()]);
  const host = ts.createCompilerHost(parsed.options);
  const { fileExists, readFile, getSourceFile } = host;
  const made = new Map();
  host.fileExists = (name) => sources.has(name) || fileExists(name);
  host.readFile = (name) => sources.get(name) ?? readFile(name);
  host.getSourceFile = (name, target, onError, anew) => {
    if (sources.has(name)) return ts.createSourceFile(name, sources.get(name), target);
    const key = name + JSON.stringify(target);
    if (!libraries.has(key)) libraries.set(key, getSourceFile(name, target, onError, anew));
    return libraries.get(key);
  };
  host.writeFile = (name, text) => made.set(name, text);
  let isBuilt = false, said = "";
  try {
    const program = ts.createProgram(parsed.fileNames, parsed.options, host);
    // the order in which tsc asks, and stops asking
    // Only the program's own files: the library's declarations are right, and to check them anew takes 50 times as long.
    const own = program.getSourceFiles().filter((file) => sources.has(file.fileName));
    const each = (ask) => own.flatMap((file) => [...ask(file)]);
    const found = [...parsed.errors, ...program.getConfigFileParsingDiagnostics()];
    found.push(...each((file) => program.getSyntacticDiagnostics(file)));
    if (!found.length) {
      found.push(...program.getOptionsDiagnostics(), ...program.getGlobalDiagnostics());
      if (!found.length) found.push(...each((file) => program.getSemanticDiagnostics(file)));
    }
    for (const file of own) found.push(...program.emit(file).diagnostics);
    const sorted = ts.sortAndDeduplicateDiagnostics(found);
    isBuilt = sorted.length === 0;
    said = ts.formatDiagnostics(sorted, host);
  } catch (error) {
    said = String(error && error.stack);
  }
  const text = Buffer.from(said);
  const parts = [Buffer.from([isBuilt ? 1 : 0]), number(text.length), text, number(made.size)];
  for (const [name, body] of made) {
    const label = Buffer.from(name.replace("/program/", "")), content = Buffer.from(body);
    parts.push(short(label.length), label, number(content.length), content);
  }
  write(parts);
}
"""
