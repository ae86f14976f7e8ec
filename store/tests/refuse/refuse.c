/* A disk that refuses one operation: preloaded into a process and its children, this counts what they do to files under
 * WENGU_REFUSE_OF, and the WENGU_REFUSE_ATth operation fails as WENGU_REFUSE_HOW says: with `enospc`, with `eio`, or `short`:
 * half of it is written and the next write to the same file finds the disk full. With `kill` the process is killed before it. With `lost` it is a disk that lies, for tests of
 * tests: every rename onto such a path succeeds and is not done, whatever WENGU_REFUSE_AT says. The counter is shared over all processes by
 * the file WENGU_REFUSE_COUNT, which begins with it and goes on with what was refused, so that a fault comes once. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))real(#name))
#define SHORT (-1)
#define LOST (-2)
#define KILL (-3)

struct shared {
    uint64_t count;
    char what[4088];
};

static struct shared *shared;
static const char *root;
static long at;
static int how;
/* The file whose next write finds the disk full. */
static char full[4096];

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void begin(void) {
    const char *count = getenv("WENGU_REFUSE_COUNT"), *number = getenv("WENGU_REFUSE_AT"), *word = getenv("WENGU_REFUSE_HOW");
    if (!count || !number || !word || !getenv("WENGU_REFUSE_OF")) return;
    how = !strcmp(word, "short") ? SHORT : !strcmp(word, "lost") ? LOST : !strcmp(word, "kill") ? KILL : !strcmp(word, "eio") ? EIO : ENOSPC;
    at = atol(number);
    int fd = REAL(open)(count, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED) return;
    root = getenv("WENGU_REFUSE_OF");
    shared = map;
}

static int ours(const char *path) { return shared && path && !strncmp(path, root, strlen(root)); }

/* What is to happen to this operation: 0, an errno, SHORT or LOST; KILL does not return. */
static int refused(const char *op, const char *path, int is_write) {
    if (!ours(path)) return 0;
    if (how == SHORT && !is_write) return 0;
    if (how == LOST && strcmp(op, "rename")) return 0;
    if (how != LOST && __atomic_add_fetch(&shared->count, 1, __ATOMIC_SEQ_CST) != (uint64_t)at) return 0;
    snprintf(shared->what, sizeof shared->what, "%s %s", op, path);
    if (how == KILL) kill(getpid(), SIGKILL);
    return how;
}

static int refused_fd(const char *op, int fd, int is_write) {
    char link[64], path[4096];
    if (!shared) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len <= 0) return 0;
    path[len] = 0;
    /* By its name: its number may be another file's by now, one that is none of ours. */
    if (is_write && full[0] && !strcmp(full, path)) {
        full[0] = 0;
        return ENOSPC;
    }
    return refused(op, path, is_write);
}

static void fill(int fd) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, full, sizeof full - 1);
    full[len > 0 ? len : 0] = 0;
}

#define OR_FAIL(verdict)      \
    if ((verdict) > 0) {      \
        errno = (verdict);    \
        return -1;            \
    }

static int opened(const char *name, int dir, const char *path, int flags, mode_t mode) {
    if (flags & (O_WRONLY | O_RDWR | O_CREAT)) {
        int verdict = refused("open", path, 0);
        OR_FAIL(verdict)
    }
    return ((int (*)(int, const char *, int, ...))real(name))(dir, path, flags, mode);
}

#define MODE                                  \
    mode_t mode = 0;                          \
    if (flags & (O_CREAT | O_TMPFILE)) {      \
        va_list list;                         \
        va_start(list, flags);                \
        mode = va_arg(list, mode_t);          \
        va_end(list);                         \
    }

int open(const char *path, int flags, ...) { MODE return opened("openat", AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opened("openat64", AT_FDCWD, path, flags, mode); }
int openat(int dir, const char *path, int flags, ...) { MODE return opened("openat", dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE return opened("openat64", dir, path, flags, mode); }

ssize_t write(int fd, const void *bytes, size_t len) {
    int verdict = refused_fd("write", fd, 1);
    OR_FAIL(verdict)
    ssize_t written = REAL(write)(fd, bytes, verdict == SHORT ? (len + 1) / 2 : len);
    if (verdict == SHORT && len > 1) fill(fd);
    return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset) {
    int verdict = refused_fd("pwrite", fd, 1);
    OR_FAIL(verdict)
    ssize_t written = REAL(pwrite64)(fd, bytes, verdict == SHORT ? (len + 1) / 2 : len, offset);
    if (verdict == SHORT && len > 1) fill(fd);
    return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    int verdict = refused_fd("writev", fd, 1);
    OR_FAIL(verdict)
    if (verdict == SHORT && count > 1) fill(fd);
    return REAL(writev)(fd, parts, verdict == SHORT ? (count + 1) / 2 : count);
}

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t len, unsigned flags) {
    int verdict = refused_fd("copy_file_range", out, 1);
    OR_FAIL(verdict)
    if (verdict == SHORT) fill(out);
    return REAL(copy_file_range)(in, from, out, to, verdict == SHORT ? (len > 64 ? 64 : 1) : len, flags);
}

int fsync(int fd) {
    int verdict = refused_fd("fsync", fd, 0);
    OR_FAIL(verdict)
    return REAL(fsync)(fd);
}

int fdatasync(int fd) {
    int verdict = refused_fd("fdatasync", fd, 0);
    OR_FAIL(verdict)
    return REAL(fdatasync)(fd);
}

int sync_file_range(int fd, off64_t offset, off64_t len, unsigned flags) {
    int verdict = refused_fd("sync_file_range", fd, 0);
    OR_FAIL(verdict)
    return REAL(sync_file_range)(fd, offset, len, flags);
}

int ftruncate64(int fd, off64_t len) {
    int verdict = refused_fd("ftruncate", fd, 0);
    OR_FAIL(verdict)
    return REAL(ftruncate64)(fd, len);
}

int rename(const char *from, const char *to) {
    int verdict = refused("rename", to, 0);
    OR_FAIL(verdict)
    if (verdict == LOST) return 0;
    return REAL(rename)(from, to);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    int verdict = refused("rename", to, 0);
    OR_FAIL(verdict)
    if (verdict == LOST) return 0;
    return REAL(renameat2)(from_dir, from, to_dir, to, flags);
}

int mkdir(const char *path, mode_t mode) {
    int verdict = refused("mkdir", path, 0);
    OR_FAIL(verdict)
    return REAL(mkdir)(path, mode);
}

int symlink(const char *target, const char *path) {
    int verdict = refused("symlink", path, 0);
    OR_FAIL(verdict)
    return REAL(symlink)(target, path);
}
