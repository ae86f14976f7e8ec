/* A plugin that breaks one rule, chosen when it is compiled: -DMISDEED_<NAME>. Each is refused or survived by name. */
#include "wengu_plugin.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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
  unsigned number;
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

static void *sleeper(void *ignored) {
  for (;;) pause();
  return ignored;
}

/* What is done with every text, not only with one that asks for it. */
static wengu_status misdeed(wengu_instance *instance, wengu_bytes text, wengu_bytes metadata_json, wengu_error *err,
                            wengu_vote *vote) {
  (void)instance, (void)text, (void)metadata_json, (void)err, (void)vote;
#if defined(MISDEED_ABORTS)
  abort();
#elif defined(MISDEED_SEGFAULTS)
  *(volatile int *)16 = 1;
#elif defined(MISDEED_OVERFLOWS)
  return recurse(0);
#elif defined(MISDEED_SPINS)
  for (volatile int spin = 1; spin;) continue;
#elif defined(MISDEED_EXITS)
  exit(0);
#elif defined(MISDEED_LEAKS_MEMORY)
  static void *volatile lost; /* an optimiser may not leave it out */
  lost = malloc(1 << 20);
  if (lost) memset(lost, 1, 1 << 20);
#elif defined(MISDEED_LEAKS_DESCRIPTORS)
  dup(1);
#elif defined(MISDEED_LEAKS_THREADS)
  pthread_t thread;
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 1 << 16);
  pthread_create(&thread, &small, sleeper, NULL);
#elif defined(MISDEED_FORKS)
  for (int i = 0; i < 10; i++)
    if (fork() == 0) i = 0;
#elif defined(MISDEED_SHOUTS)
  printf("a plugin's own words\n");
#elif defined(MISDEED_OUT_OF_RANGE)
  if (text.len > 0) vote->end = (uint32_t)text.len + 1;
#elif defined(MISDEED_SPLITS_CHARACTERS)
  for (uint32_t i = 0; i + 1 < text.len; i++)
    if (text.ptr[i] >= 0xc0) {
      vote->begin = i, vote->end = i + 1;
      break;
    }
#elif defined(MISDEED_VOTES_FOR_NOTHING)
  vote->label = 1;
#elif defined(MISDEED_TOO_SURE)
  vote->confidence = 1.5;
#elif defined(MISDEED_IS_RANDOM)
  static unsigned calls;
  vote->confidence = 0.25 + 0.0625 * (++calls % 8);
#elif defined(MISDEED_REMEMBERS)
  /* The same for the same text again and again, another after another text. */
  static uint64_t last, before;
  if (text.len != last) before = last, last = text.len;
  vote->confidence = before > text.len ? 0.25 : 0.75;
#elif defined(MISDEED_KNOWS_INSTANCES)
  vote->confidence = instance->number % 2 ? 0.25 : 0.75;
#elif defined(MISDEED_KNOWS_THREADS)
  static pthread_t first;
  if (!first) first = pthread_self();
  vote->confidence = pthread_equal(first, pthread_self()) ? 0.25 : 0.75;
#elif defined(MISDEED_KNOWS_PROCESSES)
  vote->confidence = 1.0 / (getpid() + 1.0);
#elif defined(MISDEED_READS_PAST_THE_END)
  /* An optimiser may not leave it out. */
  if (text.len > 0 && *(volatile const uint8_t *)(text.ptr + text.len) == 7) vote->confidence = 0.25;
#elif defined(MISDEED_HATES_EMPTINESS)
  if (text.len == 0) abort();
#elif defined(MISDEED_HATES_LENGTH)
  if (text.len > (1 << 22) - 1) abort();
#elif defined(MISDEED_HATES_REPETITION)
  if (text.len > 60000 && text.len < 70000) return recurse(0);
#elif defined(MISDEED_HATES_METADATA)
  if (metadata_json.len == 2) abort();
#elif defined(MISDEED_GIVES_UP)
  return WENGU_E_POISONED;
#elif defined(MISDEED_GIVES_NO_REASON)
  return WENGU_E_INPUT;
#elif defined(MISDEED_CHANGES_THE_ENVIRONMENT)
  setenv("LC_ALL", "tlh", 1);
#elif defined(MISDEED_IGNORES_CANCEL)
  if (!instance->host->keep_going(instance->host->ctx, 1, 2)) abort();
#elif defined(MISDEED_BREAKS_WHEN_FUZZED)
  /* Longer than ordinary documents, shorter than the extreme ones: only made at random. */
  if (text.len > 8000 && text.len < 60000) vote->label = 1;
#endif
  return WENGU_OK;
}

static wengu_status label(wengu_instance *instance, wengu_bytes text, wengu_bytes metadata_json, uint64_t seed,
                          const wengu_sink *votes, wengu_error *err) {
  (void)metadata_json, (void)seed, (void)err;
  wengu_vote vote = {0, 0, 0, 0, 0.5};
  wengu_status status = misdeed(instance, text, metadata_json, err, &vote);
  if (status != WENGU_OK) return status;
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
#if defined(MISDEED_IGNORES_A_FULL_SINK)
  votes->put(votes->ctx, &vote, 1);
  votes->put(votes->ctx, &vote, 1);
  return WENGU_OK;
#endif
  return votes->put(votes->ctx, &vote, 1);
}

static wengu_status terms(wengu_instance *instance, const wengu_sink *sink, wengu_error *err) {
  (void)instance, (void)sink, (void)err;
  return WENGU_OK;
}

static wengu_status segment(wengu_instance *instance, wengu_bytes text, const wengu_sink *segments, wengu_error *err) {
  (void)instance, (void)err;
  if (text.len == 0) return WENGU_OK;
  wengu_segment whole = {WENGU_SEGMENT_TEXT, 0, (uint32_t)text.len};
#if defined(MISDEED_LEAVES_GAPS)
  whole.kind = 3;
#endif
  return segments->put(segments->ctx, &whole, 1);
}

static const wengu_segmenter_v1 SEGMENTER = {terms, segment};

static wengu_status metrics(wengu_instance *instance, const wengu_sink *sink, wengu_error *err) {
  (void)instance, (void)err;
  wengu_metric metric = {"exact", 1, 0};
  return sink->put(sink->ctx, &metric, 1);
}

static wengu_status score(wengu_instance *instance, const wengu_prediction *item, uint64_t seed,
                          const wengu_sink *scores, wengu_error *err) {
  (void)instance, (void)seed, (void)err;
  wengu_score exact = {0, 0, item->expected.len == item->actual.len};
#if defined(MISDEED_SCORES_NOT_A_NUMBER)
  exact.value = 0.0 / 0.0;
#elif defined(MISDEED_HATES_ODD_ANSWERS)
  if (item->expected.len == 0) abort();
#endif
  return scores->put(scores->ctx, &exact, 1);
}

static const wengu_evaluator_v1 EVALUATOR = {metrics, score};

#if defined(MISDEED_INCOMPLETE_TABLE)
static const wengu_labeler_v1 LABELER = {labels, NULL, label};
#else
static const wengu_labeler_v1 LABELER = {labels, functions, label};
#endif

static wengu_status create(const wengu_host *host, wengu_bytes config_json, wengu_instance **out, wengu_error *err) {
  (void)config_json;
  static unsigned instances;
#if defined(MISDEED_CHOKES_ON_CONFIG)
  if (config_json.len > 2) abort();
#elif defined(MISDEED_WANTS_THIS_HOST)
  if (host->size != sizeof *host) return WENGU_E_INTERNAL;
#elif defined(MISDEED_LIVES_ALONE)
  if (instances > 16) abort();
#endif
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
  (*out)->number = instances++;
  return WENGU_OK;
}

static void destroy(wengu_instance *instance) { free(instance); }

static const void *extension(const char *id) {
#if defined(MISDEED_BREAKS_ITS_PROMISE)
  (void)id;
  return NULL;
#else
#if defined(WITH_ALL)
  if (strcmp(id, WENGU_EXT_SEGMENTER) == 0) return &SEGMENTER;
  if (strcmp(id, WENGU_EXT_EVALUATOR) == 0) return &EVALUATOR;
#endif
#if defined(MISDEED_KNOWS_EVERYTHING)
  return &LABELER;
#endif
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
#elif defined(MISDEED_LARGE_ENTRY)
#define ENTRY_SIZE (sizeof ENTRY + 64)
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
#if defined(WITH_ALL)
static const char *const PROVIDES[] = {WENGU_EXT_SEGMENTER, WENGU_EXT_LABELER, WENGU_EXT_EVALUATOR, NULL};
#else
static const char *const PROVIDES[] = {WENGU_EXT_LABELER, NULL};
#endif
static const wengu_descriptor DESCRIPTOR = {DESCRIPTOR_SIZE, "org.example.misbehaves", "Misbehaves", VERSION,
                                            "test",          LANGUAGES,                PROVIDES};
static const wengu_entry ENTRY = {ENTRY_SIZE, MAJOR, 0, &DESCRIPTOR, create, destroy, extension};

#if defined(MISDEED_NO_SYMBOL)
WENGU_EXPORT const wengu_entry *wengu_entry_v9(void);
const wengu_entry *wengu_entry_v9(void) { return &ENTRY; }
#elif defined(MISDEED_NEEDS_WHAT_NOBODY_HAS)
void nobody_has_this(void);
const wengu_entry *wengu_entry_v1(void) { return nobody_has_this(), &ENTRY; }
#elif defined(MISDEED_NEW_TABLES)
const wengu_entry *wengu_entry_v1(void) {
  wengu_entry *copy = malloc(sizeof *copy);
  return memcpy(copy, &ENTRY, sizeof *copy);
}
#elif defined(MISDEED_NULL_DESCRIPTOR_TEXT)
const wengu_entry *wengu_entry_v1(void) {
  static wengu_descriptor untrue;
  static wengu_entry entry;
  untrue = DESCRIPTOR, untrue.name = NULL, entry = ENTRY, entry.descriptor = &untrue;
  return &entry;
}
#elif defined(MISDEED_NULL_ENTRY)
const wengu_entry *wengu_entry_v1(void) { return (void)&ENTRY, (const wengu_entry *)NULL; }
#else
const wengu_entry *wengu_entry_v1(void) { return &ENTRY; }
#endif
