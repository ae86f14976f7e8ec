/* What a disk would hold if the power went: preloaded into a process, this keeps beside every file under WENGU_SHADOW_OF
 * the bytes that it had at its last fsync, and beside every directory the names that it had. The real fsync is left out.
 *
 *   WENGU_SHADOW/f-INODE   content of a file        WENGU_SHADOW/d-INODE   "INODE NAME" lines of a directory
 *
 * sync_file_range makes nothing durable. What is fsynced stays open, so that its inode number means nothing else as long
 * as the process lives. WENGU_SHADOW_LIES: an fsync of a name that ends so is confirmed and forgotten. WENGU_SHADOW_KILL:
 * the process is killed before its Nth fsync or rename. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char pinned[1 << 20];
static long count;

__attribute__((constructor)) static void many_files(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void step(void) {
    const char *at = getenv("WENGU_SHADOW_KILL");
    if (at && __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) == atol(at)) kill(getpid(), SIGKILL);
}

static void broken(const char *what) {
    perror(what);
    _exit(97);
}

static void keep(int fd, const char *path, const struct stat *st) {
    char to[4096], temporary[4096], buffer[65536];
    const char *shadow = getenv("WENGU_SHADOW");
    int dir = S_ISDIR(st->st_mode);
    snprintf(to, sizeof to, "%s/%c-%lu", shadow, dir ? 'd' : 'f', (unsigned long)st->st_ino);
    snprintf(temporary, sizeof temporary, "%s/t-%lu", shadow, (unsigned long)st->st_ino);
    FILE *out = fopen(temporary, "w");
    if (!out) broken(temporary);
    if (dir) {
        DIR *list = opendir(path);
        if (!list) broken(path);
        for (struct dirent *e; (e = readdir(list));)
            if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
                fprintf(out, "%lu %s\n", (unsigned long)e->d_ino, e->d_name);
        closedir(list);
    } else {
        /* Opened anew: the descriptor may be for writing only, and a copy of it would share the file's locks. */
        snprintf(buffer, sizeof buffer, "/proc/self/fd/%d", fd);
        int in = open(buffer, O_RDONLY | O_CLOEXEC);
        if (in < 0) broken(path);
        off_t at = 0;
        for (ssize_t n; (n = pread(in, buffer, sizeof buffer, at)) != 0; at += n) {
            if (n < 0) broken(path);
            fwrite(buffer, 1, n, out);
        }
        unsigned slot = st->st_ino % sizeof pinned;
        if (pinned[slot]) close(in);
        pinned[slot] = 1;
    }
    if (fclose(out) || rename(temporary, to)) broken(to);
}

static int synced(int fd) {
    char link[64], path[4096];
    const char *root = getenv("WENGU_SHADOW_OF"), *lies = getenv("WENGU_SHADOW_LIES");
    struct stat st;
    step();
    if (fstat(fd, &st)) return -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 0) return -1;
    path[len] = 0;
    if (!root || strncmp(path, root, strlen(root))) return 0;
    if (lies && strlen(lies) <= (size_t)len && !strcmp(path + len - strlen(lies), lies)) return 0;
    pthread_mutex_lock(&lock);
    keep(fd, path, &st);
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }
int sync_file_range(int fd, off64_t at, off64_t len, unsigned flags) {
    (void)fd, (void)at, (void)len, (void)flags;
    return 0;
}

int rename(const char *from, const char *to) {
    static int (*real)(const char *, const char *);
    if (!real) real = dlsym(RTLD_NEXT, "rename");
    const char *shadow = getenv("WENGU_SHADOW");
    if (!shadow || strncmp(to, shadow, strlen(shadow))) step();
    return real(from, to);
}
