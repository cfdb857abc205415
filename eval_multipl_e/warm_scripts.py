"""The scripts with which interpreters load their libraries and wait for programs.

They load what programs need and call `santa_serve` (`sandbox_native_source`), which comes back in copies behind a wall.
"""

# The first lines of each interpreter's script; the copies read on in the program's own file.
PERL = 'BEGIN { require Test::Deep; $0 = "/program/main.pl"; getppid() }\n#line 1 "/program/main.pl"\n'
R = (
    'invisible({{all.equal(1, 1); stopifnot(isTRUE(all.equal(c(1, 2), c(1, 2)))); dyn.load("{library}"); '
    '.C("santa_serve"); tempdir(check = TRUE)}})\n'
)
# Ruby reads a script whole before it runs it, so the copy loads the program as its script would be.
# The program's own `require 'test/unit'` still does what counts: it has the tests run at the end.
RUBY = (
    "require 'test/unit/testcase'\nrequire 'test/unit/autorunner'\nrequire 'test/unit/ui/console/testrunner'\n"
    "$0 = '/program/main.rb'\nProcess.ppid\nload '/program/main.rb'\n"
)
# Racket has no fork of its own, but its only thread of the system may be forked under it.
RACKET = """(begin
(define santa-serve (get-ffi-obj "santa_serve" (ffi-lib "{library}") (_cprocedure null _void)))
(define space (make-base-empty-namespace))
(for ([name '(racket rackunit)]) (namespace-attach-module (current-namespace) name space))
(santa-serve)
(random-seed (modulo (integer-bytes->integer (call-with-input-file "/dev/urandom" (lambda (in) (read-bytes 4 in))) #f) 2147483647))
(parameterize ([current-namespace space])
  (define program '(file "/program/main.rkt"))
  (define (part name) (list 'submod program name))
  (when (module-declared? (part 'configure-runtime) #t) (dynamic-require (part 'configure-runtime) #f))
  (dynamic-require program #f)
  (when (module-declared? (part 'main) #t) (dynamic-require (part 'main) #f))))
"""
# Python runs the program as its own `__main__`. What is loaded before holds no state that a program could change for
# another; `random`, which is seeded as it is loaded, is not among it. A copy ends as soon as its threads, exit handlers
# and output are done: to take down the interpreter's modules as well costs as much as the rest together.
PYTHON = """def serve():
    import atexit, collections, ctypes, functools, gc, itertools, math, os, re, sys, typing
    api, libc, helper = ctypes.pythonapi, ctypes.CDLL(None), ctypes.PyDLL("{library}")
    libc.fopen.restype = ctypes.c_void_p
    run, leave, at_exit, loaded = api.PyRun_SimpleFileExFlags, os._exit, atexit._run_exitfuncs, sys.modules
    run.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
    name = b"/program/main.py"
    sys.argv[:] = [name.decode()]
    del globals()["serve"]
    gc.collect()
    gc.freeze()
    helper.santa_serve()
    file = libc.fopen(name, b"rb")
    code = 1 if not file or run(file, name, 1, None) else 0
    try:
        if "threading" in loaded:
            loaded["threading"]._shutdown()
        at_exit()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except BaseException:
        leave(120)
    leave(code)
serve()
"""
