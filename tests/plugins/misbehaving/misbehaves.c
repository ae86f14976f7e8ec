/* A plugin that breaks one rule, chosen when it is compiled: -DMISDEED_<NAME>. Each is refused or survived by name. */
#include "wengu_plugin.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct wengu_instance {
  const wengu_host *host;
};

static wengu_status push_name(const wengu_sink *sink, const char *text) {
  wengu_bytes name = {(const uint8_t *)text, strlen(text)};
  return sink->put(sink->ctx, &name, 1);
}

static wengu_status labels(wengu_instance *instance, const wengu_sink *names, wengu_error *err) {
  (void)instance, (void)err;
#if defined(MISDEED_NON_UTF8)
  return push_name(names, "caf\xe9");
#elif defined(MISDEED_REPEATS_NAMES)
  if (push_name(names, "same") != WENGU_OK) return WENGU_E_INTERNAL;
  return push_name(names, "same");
#elif defined(MISDEED_NULL_ITEMS)
  return names->put(names->ctx, NULL, 3);
#elif defined(MISDEED_IGNORES_REFUSAL)
  push_name(names, "");
  return WENGU_OK;
#else
  return push_name(names, "a");
#endif
}

static wengu_status functions(wengu_instance *instance, const wengu_sink *names, wengu_error *err) {
  (void)instance, (void)err;
  return push_name(names, "f");
}

static int is(wengu_bytes text, const char *word) {
  return text.len == strlen(word) && memcmp(text.ptr, word, text.len) == 0;
}

static volatile int deeper = 1;
static int recurse(int depth) {
  volatile char frame[4096];
  frame[0] = (char)depth;
  return deeper ? recurse(depth + 1) + frame[0] : 0;
}

/* Tries what a sandbox forbids: "TRY WHAT [PATH]". 1: it worked. */
static int escapes(wengu_bytes text) {
  char line[1024] = {0}, what[64] = {0}, path[900] = {0};
  memcpy(line, text.ptr, text.len < sizeof line - 1 ? text.len : sizeof line - 1);
  sscanf(line, "TRY %63s %899s", what, path);
  if (strcmp(what, "connect") == 0) {
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    return fd >= 0 && connect(fd, (struct sockaddr *)&there, sizeof there) == 0;
  }
  if (strcmp(what, "create") == 0) return open(path, O_CREAT | O_WRONLY, 0600) >= 0;
  if (strcmp(what, "write") == 0) return open(path, O_WRONLY) >= 0;
  if (strcmp(what, "read") == 0) return open(path, O_RDONLY) >= 0;
  if (strcmp(what, "mkdir") == 0) return mkdir(path, 0700) == 0;
  if (strcmp(what, "remove") == 0) return unlink(path) == 0;
  if (strcmp(what, "chmod") == 0) return chmod(path, 0777) == 0;
  if (strcmp(what, "fork") == 0) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    return child > 0;
  }
  if (strcmp(what, "exec") == 0) return execl("/bin/true", "true", (char *)NULL) == 0; /* else it would be gone */
  if (strcmp(what, "kill") == 0) return kill(getppid(), 0) == 0;
  return 2;
}

static wengu_status label(wengu_instance *instance, wengu_bytes text, wengu_bytes metadata_json, uint64_t seed,
                          const wengu_sink *votes, wengu_error *err) {
  (void)metadata_json, (void)seed, (void)err;
  wengu_vote vote = {0, 0, 0, 0, 0.5};
  if (is(text, "hang")) {
    if (fork() == 0) /* a grandchild must go too */
      for (;;) pause();
    for (;;) sleep(1000);
  }
  if (is(text, "segfault")) *(volatile int *)0 = 1;
  if (is(text, "abort")) {
    fprintf(stderr, "these are the last words\n");
    abort();
  }
  if (is(text, "exit")) _exit(3);
  if (is(text, "overflow")) return recurse(0);
  if (is(text, "spin"))
    for (volatile int spin = 1; spin;) continue;
  if (is(text, "leak memory"))
    for (;;) memset(malloc(1 << 24), 1, 1 << 24);
  if (is(text, "leak descriptors")) {
    while (dup(1) >= 0) continue;
    snprintf(err->message, sizeof err->message, "%s", strerror(errno));
    return WENGU_E_RESOURCE;
  }
  if (is(text, "fork bomb"))
    for (int i = 0; i < 1000; i++)
      if (fork() == 0) i = 0;
  if (text.len > 4 && memcmp(text.ptr, "TRY ", 4) == 0) {
    int escaped = escapes(text);
    snprintf(err->message, sizeof err->message, "%s", escaped ? "it worked" : strerror(errno));
    return WENGU_E_INPUT;
  }
  if (is(text, "shout"))
    for (int i = 0; i < 100000; i++) printf("shouting %d\n", i);
  if (is(text, "close")) for (int fd = 3; fd < 256; fd++) close(fd);
  if (is(text, "garbage"))
    for (int fd = 3; fd < 200; fd++)
      if (write(fd, "\xff\xff\xff\xff", 4) == 4) sleep(1000);
  if (is(text, "unknown status")) return 77;
  if (is(text, "bad label")) vote.label = 7;
  if (is(text, "bad confidence")) vote.confidence = 0.0 / 0.0;
  if (is(text, "bad span")) vote.begin = 1, vote.end = 1000;
  return votes->put(votes->ctx, &vote, 1);
}

#if defined(MISDEED_INCOMPLETE_TABLE)
static const wengu_labeler_v1 LABELER = {labels, NULL, label};
#else
static const wengu_labeler_v1 LABELER = {labels, functions, label};
#endif

static wengu_status create(const wengu_host *host, wengu_bytes config_json, wengu_instance **out, wengu_error *err) {
  (void)config_json;
#if defined(MISDEED_CREATE_FAILS)
  strcpy(err->message, "no licence file");
  return WENGU_E_RESOURCE;
#elif defined(MISDEED_CREATE_LIES)
  (void)out, (void)err;
  return WENGU_OK;
#endif
  (void)err;
  *out = malloc(sizeof **out);
  (*out)->host = host;
  return WENGU_OK;
}

static void destroy(wengu_instance *instance) { free(instance); }

static const void *extension(const char *id) {
#if defined(MISDEED_BREAKS_ITS_PROMISE)
  (void)id;
  return NULL;
#else
  return strcmp(id, WENGU_EXT_LABELER) == 0 ? &LABELER : NULL;
#endif
}

#if defined(MISDEED_OTHER_VERSION)
#define VERSION "2.0.0"
#else
#define VERSION "1.0.0"
#endif
#if defined(MISDEED_LIES_ABOUT_SIZE)
#define ENTRY_SIZE 8
#else
#define ENTRY_SIZE sizeof ENTRY
#endif
#if defined(MISDEED_SMALL_DESCRIPTOR)
#define DESCRIPTOR_SIZE 16
#else
#define DESCRIPTOR_SIZE sizeof DESCRIPTOR
#endif
#if defined(MISDEED_WRONG_MAJOR)
#define MAJOR 9
#else
#define MAJOR WENGU_ABI_MAJOR
#endif

static const char *const LANGUAGES[] = {"en", NULL};
static const char *const PROVIDES[] = {WENGU_EXT_LABELER, NULL};
static const wengu_descriptor DESCRIPTOR = {DESCRIPTOR_SIZE, "org.example.misbehaves", "Misbehaves", VERSION,
                                            "test",          LANGUAGES,                PROVIDES};
static const wengu_entry ENTRY = {ENTRY_SIZE, MAJOR, 0, &DESCRIPTOR, create, destroy, extension};

#if defined(MISDEED_NO_SYMBOL)
WENGU_EXPORT const wengu_entry *wengu_entry_v9(void);
const wengu_entry *wengu_entry_v9(void) { return &ENTRY; }
#elif defined(MISDEED_NULL_ENTRY)
const wengu_entry *wengu_entry_v1(void) { return (void)&ENTRY, (const wengu_entry *)NULL; }
#else
const wengu_entry *wengu_entry_v1(void) { return &ENTRY; }
#endif
