"""The C source of a sandbox's first process; compiled once a machine, it does what `sandbox_forkserver` does.

A process that has loaded what programs need calls `santa_serve`, which says so with one byte. For each request it clones
itself into new namespaces; the clone sets the wall up and takes orders on a socket of its own, as `obey` in
`sandbox_forkserver` does: write files, seal the folder, run a command. One order is here only: "adopt" forks the clone
once more, and `santa_serve` comes back in that copy, as the program's user, with its limits, without a capability and
under the filter of system calls. What an interpreter then reads on as its script is the program.

`launch.c` is a process that has loaded nothing: it runs commands. The library `helper.so` is loaded by interpreters; Perl
and Ruby call it by way of `getppid`, which it takes over.

An order is two numbers of 32 bits (a letter, the length of what follows), with files open on standard streams; an
answer is `struct answer`.
"""

HELPER = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHANNEL = 3, SCRIPT = 4, INSIDE = 1000, LONGEST = 8192, TEXT = 80, STREAMS = 3, PATIENCE_MS = 100 };
enum { SOCKET_BYTES = 1 << 18 };
enum { ENDED, TIME, MEMORY, FAILED, HIDDEN };
static const uint64_t never = UINT64_MAX;
struct request { uint64_t is_root, outer_id, program_bytes, scratch_bytes, length; unsigned char filter[LONGEST]; };
struct limits { uint64_t cpu_s, file_bytes, data_bytes, processes, memory_bytes, own_us; };
struct answer { int64_t kind, status; uint64_t wall_us, cpu_us, delay_us, memory_bytes; char text[TEXT]; };
struct order { uint32_t what, length; };
struct usage { uint64_t memory_bytes, cpu_us, ended_us, delay_us; };
static struct request asked;
static struct sigaction handlers[65];
static const unsigned long quiet = MS_NOSUID | MS_NODEV;

static uint64_t now_us(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000ULL + at.tv_nsec / 1000;
}

static void say(int control, const struct answer *answer) {
    if (send(control, answer, sizeof *answer, MSG_NOSIGNAL) != sizeof *answer) _exit(1);
}

static void fail(int control, const char *what) {
    struct answer answer = {.kind = FAILED};
    snprintf(answer.text, TEXT, "%s: %s", what, strerror(errno));
    say(control, &answer);
    _exit(1);
}

/* All of so many bytes; 0 where the other side has gone. */
static int read_all(int control, void *into, size_t count) {
    for (char *at = into; count;) {
        ssize_t got = recv(control, at, count, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return 0;
        at += got, count -= got;
    }
    return 1;
}

static int read_order(int control, struct order *order, int *files) {
    union { char bytes[CMSG_SPACE(sizeof(int) * STREAMS)]; struct cmsghdr head; } extra;
    struct iovec part = {order, sizeof *order};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &extra, .msg_controllen = sizeof extra};
    ssize_t got;
    do got = recvmsg(control, &message, MSG_CMSG_CLOEXEC); while (got < 0 && errno == EINTR);
    if (got <= 0) return -1;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    int count = head ? (head->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
    if (head) memcpy(files, CMSG_DATA(head), count * sizeof(int));
    return read_all(control, (char *)order + got, sizeof *order - got) ? count : -1;
}

static void limit(int kind, uint64_t value) {
    struct rlimit both = {value, value};
    setrlimit(kind, &both);
}

/* The end of every way into a program: its limits, no rights, the filter. */
static int give_up_rights(const struct limits *limits) {
    limit(RLIMIT_CORE, 0), limit(RLIMIT_CPU, limits->cpu_s), limit(RLIMIT_FSIZE, limits->file_bytes);
    limit(RLIMIT_DATA, limits->data_bytes), limit(RLIMIT_NPROC, limits->processes), limit(RLIMIT_NOFILE, 1024);
    limit(RLIMIT_MEMLOCK, 1 << 16), limit(RLIMIT_MSGQUEUE, 1 << 16);
    prctl(PR_SET_DUMPABLE, 1);
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2];
    memset(none, 0, sizeof none);
    struct sock_fprog program = {asked.length / 8, (struct sock_filter *)asked.filter};
    return syscall(SYS_capset, &head, none) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

static int write_files(char *at, char *end) {
    while (at < end) {
        uint32_t sizes[2];
        char path[512] = "/program/";
        memcpy(sizes, at, sizeof sizes), at += sizeof sizes;
        if (sizes[0] > sizeof path - 16) return -1;
        memcpy(path + 9, at, sizes[0]), at += sizes[0];
        for (char *slash = path + 9; (slash = strchr(slash, '/')); *slash++ = '/') {
            *slash = 0;
            if (mkdir(path, 0755) && errno != EEXIST) return -1;
        }
        int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        for (size_t left = sizes[1]; left;) {
            ssize_t done = write(file, at, left);
            if (done <= 0) return -1;
            at += done, left -= done;
        }
        if (file < 0 || close(file)) return -1;
    }
    return 0;
}

static char *read_file(const char *folder, const char *name, const char *leaf, char *into, size_t room) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s/%s", folder, name, leaf);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? -1 : read(file, into, room - 1);
    if (file >= 0) close(file);
    into[got > 0 ? got : 0] = 0;
    return got > 0 ? into : NULL;
}

/* The bytes that a line of /proc/PID/status counts in kB; 0 where there is no such line. A process's name holds no
   line end there. */
static uint64_t counted(const char *status, const char *name) {
    unsigned long long kb;
    const char *at = strstr(status, name);
    return at && sscanf(at + strlen(name), "%llu", &kb) == 1 ? kb * 1024 : 0;
}

/* The most that the buffers of all sockets in this namespace hold: they are in no process's memory. */
static uint64_t in_sockets(void) {
    char text[1024];
    unsigned long long used;
    return read_file("/proc", "self/net", "sockstat", text, sizeof text) && sscanf(text, "sockets: used %llu", &used) == 1
        ? used * SOCKET_BYTES : 0;
}

/* Memory, processor time and time spent waiting for a processor of all processes in this namespace but this one. */
static struct usage usage_now(void) {
    struct usage all = {.memory_bytes = in_sockets()};
    uint64_t tick_us = 1000000 / sysconf(_SC_CLK_TCK);
    DIR *folder = opendir("/proc");
    for (struct dirent *each; folder && (each = readdir(folder));) {
        char text[2048], path[300];
        unsigned long long user, system, longest = 0;
        long long ended_user, ended_system;
        if (each->d_name[0] < '0' || each->d_name[0] > '9' || !strcmp(each->d_name, "1")) continue;
        if (!read_file("/proc", each->d_name, "status", text, sizeof text)) continue;
        all.memory_bytes += counted(text, "\nVmRSS:") + counted(text, "\nVmPTE:") + counted(text, "\nVmSwap:");
        /* After the command's name, which may hold anything: user, system, and those of children waited for. */
        char *rest = read_file("/proc", each->d_name, "stat", text, sizeof text) ? strrchr(text, ')') : NULL;
        if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %lld %lld", &user, &system,
                            &ended_user, &ended_system) != 4) continue;
        all.cpu_us += (user + system + ended_user + ended_system) * tick_us;
        all.ended_us += (ended_user + ended_system) * tick_us;
        snprintf(path, sizeof path, "/proc/%s/task", each->d_name);
        DIR *tasks = opendir(path);
        for (struct dirent *task; tasks && (task = readdir(tasks));) {
            unsigned long long waited;
            if (task->d_name[0] != '.' && read_file(path, task->d_name, "schedstat", text, sizeof text)
                && sscanf(text, "%*u %llu", &waited) == 1 && waited > longest) longest = waited;
        }
        if (tasks) closedir(tasks);
        all.delay_us += longest / 1000;
    }
    if (folder) closedir(folder);
    return all;
}

/* Whether a program has used its limit in processor time, or in time in which it did not wait for a processor. */
static int has_had_its_time(const struct usage *used, uint64_t own_us, uint64_t elapsed_us) {
    if (!own_us || elapsed_us < own_us) return 0;
    if (used->cpu_us >= own_us || used->cpu_us + used->delay_us < elapsed_us / 4) return 1;
    /* What processes that have ended waited for is not known: a program of many short ones has its processor time. */
    uint64_t own = elapsed_us > used->delay_us ? elapsed_us - used->delay_us : 0;
    return own >= own_us / 20 * 19 && used->ended_us * 4 < used->cpu_us;
}

static uint64_t ended_us(void) {
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000ULL + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

/* Waits for the program's end, for the word to stop it, or for too much memory; then ends all its processes. */
static void watch(int control, pid_t pid, const struct limits *limits, uint64_t begun, uint64_t before_us, const volatile char *is_in) {
    struct answer answer = {.kind = TIME};
    struct pollfd ready[2] = {{syscall(SYS_pidfd_open, pid, 0), POLLIN, 0}, {control, POLLIN, 0}};
    uint64_t most_us = never, elapsed_us;
    if (ready[0].fd < 0) fail(control, "pidfd_open");
    for (;;) {
        elapsed_us = now_us() - begun;
        /* To the tick at the moment when its time may be over, and every so often before and after. */
        uint64_t until = elapsed_us < limits->own_us && limits->own_us < most_us ? limits->own_us : most_us;
        uint64_t left_ms = until > elapsed_us ? (until - elapsed_us) / 1000 + 1 : 0;
        poll(ready, 2, left_ms < PATIENCE_MS ? left_ms : PATIENCE_MS);
        if (ready[0].revents) {
            int status = 0;
            while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
            answer.kind = ENDED, answer.status = status;
            break;
        }
        if (ready[1].revents) {
            /* The clock is outside; under load the program may have begun a little later than that one. */
            struct order order;
            int files[STREAMS];
            if (read_order(control, &order, files) < 0 || !read_all(control, &most_us, sizeof most_us)) most_us = 0;
        }
        struct usage used = usage_now();
        elapsed_us = now_us() - begun;
        answer.cpu_us = used.cpu_us, answer.delay_us = used.delay_us;
        if (elapsed_us >= most_us || has_had_its_time(&used, limits->own_us, elapsed_us)) break;
        if (used.memory_bytes > limits->memory_bytes) {
            answer.kind = MEMORY, answer.memory_bytes = used.memory_bytes, answer.delay_us = 0;
            break;
        }
    }
    if (answer.kind == ENDED) answer.cpu_us = answer.delay_us = 0;
    if (answer.kind == ENDED && !*is_in) answer.kind = FAILED, strcpy(answer.text, "a copy could not get in");
    answer.wall_us = now_us() - begun;
    close(ready[0].fd);
    kill(-1, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) {}
    uint64_t spent_us = ended_us() - before_us;
    if (spent_us > answer.cpu_us) answer.cpu_us = spent_us;
    say(control, &answer);
}

/* Runs a command: limits, then an argument and an environment, each counted. Returns in the first process. */
static void run(int control, char *body, char *end, int *files, int count) {
    struct limits limits;
    uint32_t counts[2];
    memcpy(&limits, body, sizeof limits), body += sizeof limits;
    memcpy(counts, body, sizeof counts), body += sizeof counts;
    char **words = calloc(counts[0] + counts[1] + 2, sizeof *words);
    if (!words) fail(control, "memory");
    for (uint32_t i = 0; i < counts[0] + counts[1] && body < end; i++, body += strlen(body) + 1)
        words[i + (i >= counts[0])] = body;
    if (strncmp(words[0], "/program/", 9) && access(words[0], X_OK)) {
        /* A tool that can't be started is no failure of the program. */
        struct answer answer = {.kind = HIDDEN};
        say(control, &answer);
        return;
    }
    uint64_t before_us = ended_us(), begun = now_us();
    pid_t pid = fork();
    if (pid < 0) fail(control, "fork");
    if (pid == 0) {
        setsid();
        int nothing = count == STREAMS ? files[0] : open("/dev/null", O_RDONLY);
        if (dup2(nothing, 0) < 0 || dup2(files[count - 2], 1) < 0 || dup2(files[count - 1], 2) < 0) _exit(127);
        for (int fd = 3; fd < 64; fd++) close(fd);
        if (chdir("/tmp") || give_up_rights(&limits)) _exit(127);
        execve(words[0], words, words + counts[0] + 1);
        dprintf(2, "eval_multipl_e: the command could not be started: %s\n", strerror(errno));
        _exit(127);
    }
    free(words);
    for (int i = 0; i < count; i++) close(files[i]);
    watch(control, pid, &limits, begun, before_us, "y");
}

/* The descriptor on which the interpreter reads its script: another one of the same pipe. */
static int script_fd(void) {
    struct stat own, other;
    if (fstat(SCRIPT, &own)) return -1;
    for (int fd = SCRIPT + 1; fd < 256; fd++)
        if (!fstat(fd, &other) && other.st_ino == own.st_ino && other.st_dev == own.st_dev) return fd;
    return SCRIPT;
}

/* In the copy that will be the program: its streams, and its own file in the place of the interpreter's script. */
static int become(const int *files, const char *path, const struct limits *limits) {
    for (int number = 1; number < 65; number++)
        if (number != SIGCHLD) sigaction(number, &handlers[number], NULL);
    setsid();
    int nothing = open("/dev/null", O_RDONLY), source = path ? open(path, O_RDONLY) : -1;
    int script = path ? script_fd() : -1;
    if (chdir("/tmp") || nothing < 0 || (path && (source < 0 || script < 0))) return -1;
    /* A library may have kept copies of the interpreter's own output and error, which are two different devices. */
    struct stat out, err, each;
    if (fstat(1, &out) || fstat(2, &err) || (path && dup2(source, script) < 0)) return -1;
    for (int fd = 3; fd < 256; fd++) {
        if (fd == script || fd == nothing || fd == files[0] || fd == files[1]) continue;
        int is_copy = !fstat(fd, &each) && S_ISCHR(each.st_mode);
        if (is_copy && each.st_rdev == out.st_rdev) dup2(files[0], fd);
        else if (is_copy && each.st_rdev == err.st_rdev) dup2(files[1], fd);
        else close(fd);
    }
    if (dup2(nothing, 0) < 0 || dup2(files[0], 1) < 0 || dup2(files[1], 2) < 0) return -1;
    close(nothing), close(files[0]), close(files[1]);
    if (give_up_rights(limits)) return -1;
    return 0;
}

static void set_up(int control, int go) {
    char size[96], byte;
    if (read(go, &byte, 1) != 1) _exit(1);
    close(go);
    if (setresgid(INSIDE, INSIDE, INSIDE) || setresuid(INSIDE, INSIDE, INSIDE)) fail(control, "user");
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* after the change of user, which forgets it */
    snprintf(size, sizeof size, "size=%llu,nr_inodes=50000,mode=1777", (unsigned long long)asked.scratch_bytes);
    if (mount("tmpfs", "/tmp", "tmpfs", quiet, size) || mount("tmpfs", "/dev/shm", "tmpfs", quiet, size)) fail(control, "mount /tmp");
    snprintf(size, sizeof size, "size=%llu,nr_inodes=50000,mode=0755", (unsigned long long)asked.program_bytes);
    if (mount("tmpfs", "/program", "tmpfs", quiet, size)) fail(control, "mount /program");
    if (mount("proc", "/proc", "proc", quiet | MS_NOEXEC, NULL)) fail(control, "mount /proc");
    if (sethostname("santa", 5) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) fail(control, "host name");
    setsid();
    umask(022);
}

/* The first process behind the wall; it comes back only in the copy that will be a program. */
static void obey(int control, int go, const char *script) {
    struct order order;
    int files[STREAMS], count;
    /* The kernel drops what a program sends to the first process, where that has no handler of its own. */
    for (int number = 1; number < 65; number++) {
        sigaction(number, NULL, &handlers[number]);
        if (number != SIGKILL && number != SIGSTOP) signal(number, SIG_DFL);
    }
    set_up(control, go);
    while ((count = read_order(control, &order, files)) >= 0) {
        char *body = malloc(order.length + 1);
        if (!body || !read_all(control, body, order.length)) _exit(1);
        body[order.length] = 0;
        struct limits limits;
        if (order.what == 'W' && write_files(body, body + order.length)) fail(control, "writing the program");
        if (order.what == 'S' && mount(NULL, "/program", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | quiet, NULL)) fail(control, "seal");
        if (order.what == 'R') run(control, body, body + order.length, files, count);
        if (order.what == 'A') {
            memcpy(&limits, body, sizeof limits);
            volatile char *is_in = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            if (is_in == MAP_FAILED) fail(control, "memory");
            uint64_t before_us = ended_us(), begun = now_us();
            pid_t pid = fork();
            if (pid < 0) fail(control, "fork");
            if (pid == 0) {
                if (become(files, script, &limits)) _exit(97);
                *is_in = 1;
                munmap((void *)is_in, 1);
                errno = 0; /* Perl makes it an exit code */
                return;
            }
            for (int fd = 0; fd < 256; fd++)
                if (fd != control) close(fd);
            watch(control, pid, &limits, begun, before_us, is_in);
        }
        free(body);
    }
    _exit(0);
}

static int put(pid_t pid, const char *name, const char *text) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    int is_done = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);
    if (file >= 0) close(file);
    return is_done;
}

/* A wall for one program; comes back with 1 only in the copy that will be the program. */
static int open_wall(int control, const char *script) {
    int go[2];
    char map[64];
    unsigned long spaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    if (pipe2(go, O_CLOEXEC)) return 0;
    pid_t pid = syscall(SYS_clone, spaces | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        close(go[1]);
        obey(control, go[0], script);
        return 1;
    }
    /* As root each wall has an id of its own outside; an ordinary user has but one, and limits count by namespace. */
    snprintf(map, sizeof map, "%d %llu 1", INSIDE, (unsigned long long)(asked.is_root ? asked.outer_id : 0));
    if (pid > 0 && put(pid, "setgroups", "deny") && put(pid, "uid_map", map) && put(pid, "gid_map", map)) {
        if (write(go[1], "g", 1)) {}
    }
    close(go[0]), close(go[1]);
    return 0;
}

void santa_serve(void) {
    const char *path = getenv("SANTA_SCRIPT");
    char script[256] = "";
    if (path) strncpy(script, path, sizeof script - 1);
    unsetenv("SANTA_SCRIPT");
    unsetenv("LD_PRELOAD");
    signal(SIGCHLD, SIG_IGN);
    if (send(CHANNEL, "r", 1, MSG_NOSIGNAL) != 1) _exit(1);
    for (;;) {
        union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr head; } extra;
        struct iovec part = {&asked, sizeof asked};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &extra, .msg_controllen = sizeof extra};
        ssize_t got = recvmsg(CHANNEL, &message, MSG_CMSG_CLOEXEC);
        if (got < 0 && errno == EINTR) continue;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        if (got <= 0 || !head || head->cmsg_len != CMSG_LEN(sizeof(int))) _exit(0);
        int control;
        memcpy(&control, CMSG_DATA(head), sizeof control);
        if (asked.length > LONGEST) _exit(1);
        if (open_wall(control, *script ? script : NULL)) return;
        close(control);
    }
}
"""

# What perl and ruby call without knowing; the launcher has no such need.
GETPPID = r"""
static int has_served;

pid_t getppid(void) {
    if (!has_served && getenv("SANTA_WAITS")) {
        unsetenv("SANTA_WAITS");
        has_served = 1;
        santa_serve();
    }
    return syscall(SYS_getppid);
}
"""

MAIN = r"""
int main(void) {
    close(SCRIPT); /* this file itself, by which it was found */
    santa_serve();
    return 0;
}
"""
