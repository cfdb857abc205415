"""The C library that lets a warm interpreter fork itself into a program's wall, as text: it is compiled on this machine.

An interpreter that has started and loaded its libraries calls `santa_serve` (Perl and Ruby by way of `getppid`, which
this library takes over), which says so with one byte. The call comes back only in forked copies, once for each request, and what comes back is
behind the wall: in the namespaces that the wall's first process handed over, as that user, with the limits, without a
capability, and under the filter of system calls. What it then reads on as its script is the program.

A request is: five limits, the length of the filter, the filter; and, as open files, the six namespaces, standard output
and error, and the pipe on which the copy's end is reported (wait status and processor time in microseconds).
"""

HELPER = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHANNEL = 3, SCRIPT = 4, FILES = 9, LIMITS = 5, LONGEST = 8192 };
struct request { uint64_t limits[LIMITS]; uint64_t length; unsigned char filter[LONGEST]; };
static const int kinds[LIMITS] = {RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_NPROC, RLIMIT_NOFILE};
static int has_served;

static void give_up(int report) {
    int64_t words[2] = {-1, 0};
    if (write(report, words, sizeof words)) {}
    _exit(97);
}

/* The descriptor on which the interpreter reads its script: another one of the same pipe. */
static int script_fd(void) {
    struct stat own, other;
    if (fstat(SCRIPT, &own)) return -1;
    for (int fd = SCRIPT + 1; fd < 256; fd++)
        if (!fstat(fd, &other) && other.st_ino == own.st_ino && other.st_dev == own.st_dev) return fd;
    return SCRIPT;
}

static void limit(int kind, uint64_t value) {
    struct rlimit both = {value, value};
    setrlimit(kind, &both);
}

static int enter(const struct request *asked, const int *files, const char *path) {
    int report = files[8];
    signal(SIGCHLD, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < 6; i++)
        if (setns(files[i], 0)) give_up(report);
    pid_t inner = fork();
    if (inner < 0) give_up(report);
    if (inner > 0) {
        struct rusage used;
        int status = 0;
        for (int fd = 0; fd < 256; fd++)
            if (fd != report) close(fd);
        while (wait4(inner, &status, 0, &used) < 0 && errno == EINTR) {}
        int64_t words[2] = {status, (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000LL
                            + used.ru_utime.tv_usec + used.ru_stime.tv_usec};
        if (write(report, words, sizeof words)) {}
        _exit(0);
    }
    if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000)) give_up(report);
    setsid();
    int nothing = open("/dev/null", O_RDONLY), source = path ? open(path, O_RDONLY) : -1;
    int script = path ? script_fd() : -1;
    if (chdir("/tmp") || nothing < 0 || (path && (source < 0 || script < 0))) give_up(report);
    /* A library may have kept copies of the interpreter's own output and error, which are two different devices. */
    struct stat out, err, each;
    if (fstat(1, &out) || fstat(2, &err) || (path && dup2(source, script) < 0)) give_up(report);
    for (int fd = 3; fd < 256; fd++) {
        if (fd == script || fd == report || fd == nothing || fd == files[6] || fd == files[7]) continue;
        int is_copy = !fstat(fd, &each) && S_ISCHR(each.st_mode);
        if (is_copy && each.st_rdev == out.st_rdev) dup2(files[6], fd);
        else if (is_copy && each.st_rdev == err.st_rdev) dup2(files[7], fd);
        else close(fd);
    }
    if (dup2(nothing, 0) < 0 || dup2(files[6], 1) < 0 || dup2(files[7], 2) < 0) give_up(report);
    close(nothing), close(files[6]), close(files[7]);
    fcntl(report, F_SETFD, FD_CLOEXEC);
    limit(RLIMIT_CORE, 0);
    for (int i = 0; i < LIMITS; i++) limit(kinds[i], asked->limits[i]);
    prctl(PR_SET_DUMPABLE, 1);
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2];
    memset(none, 0, sizeof none);
    struct sock_fprog program = {asked->length / 8, (struct sock_filter *)asked->filter};
    if (syscall(SYS_capset, &head, none) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) give_up(report);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0)) give_up(report);
    close(report);
    errno = 0; /* Perl makes it an exit code */
    return 0;
}

void santa_serve(void) {
    static struct request asked;
    const char *path = getenv("SANTA_SCRIPT");
    char script[256] = "";
    if (path) strncpy(script, path, sizeof script - 1);
    has_served = 1;
    unsetenv("SANTA_SCRIPT");
    unsetenv("LD_PRELOAD");
    signal(SIGCHLD, SIG_IGN);
    if (send(CHANNEL, "r", 1, MSG_NOSIGNAL) != 1) _exit(1);
    for (;;) {
        union { char bytes[CMSG_SPACE(sizeof(int) * FILES)]; struct cmsghdr head; } control;
        struct iovec part = {&asked, sizeof asked};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t got = recvmsg(CHANNEL, &message, MSG_CMSG_CLOEXEC);
        if (got < 0 && errno == EINTR) continue;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        if (got <= 0 || !head || head->cmsg_len != CMSG_LEN(sizeof(int) * FILES)) _exit(0);
        int files[FILES];
        memcpy(files, CMSG_DATA(head), sizeof files);
        if (asked.length > LONGEST) _exit(1);
        pid_t outer = fork();
        if (outer == 0 && enter(&asked, files, *script ? script : NULL) == 0) return;
        for (int i = 0; i < FILES; i++) close(files[i]);
    }
}

pid_t getppid(void) {
    if (!has_served && getenv("SANTA_WAITS")) {
        unsetenv("SANTA_WAITS");
        santa_serve();
    }
    return syscall(SYS_getppid);
}
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
