/* wengu_plugin.h: the whole contract between wengu's plugin host and a domain plugin. Rules and reasons: ABI.md.
 *
 * Threads:  [scan] any thread, no I/O, no threads started, quick.
 *           [instance] never two calls at once on one instance; the OS thread may differ from call to call.
 *           [any] any thread, concurrently.
 * Memory:   nobody frees what the other side allocated. Inputs are borrowed for the call, outputs are pushed into a
 *           sink that copies, tables and descriptor live for ever (a plugin is never unloaded).
 * Text:     UTF-8 without NUL-termination (wengu_bytes) or with it (const char *). The host passes valid UTF-8 only.
 * Failure:  no panic or exception may leave a function; catch it and return WENGU_E_POISONED.
 * Repeat:   the same input, config and seed give the same output, in every call, instance and process. */
#ifndef WENGU_PLUGIN_H
#define WENGU_PLUGIN_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#define WENGU_ABI_MAJOR 1u                        /* also in the symbol's name; majors never mix */
#define WENGU_ABI_MINOR 0u                        /* informative: compare struct sizes, not minors */
#define WENGU_ENTRY_SYMBOL "wengu_entry_v1"

#if defined(_WIN32)
#define WENGU_EXPORT __declspec(dllexport)
#else
#define WENGU_EXPORT __attribute__((visibility("default")))
#endif

typedef int32_t wengu_status;                     /* a value not listed here reads as WENGU_E_POISONED */
#define WENGU_OK              0
#define WENGU_E_INPUT         1                   /* this document, item or config is bad: do not retry */
#define WENGU_E_UNSUPPORTED   2                   /* this plugin does not do that: do not retry */
#define WENGU_E_CANCELLED     3                   /* keep_going() said stop */
#define WENGU_E_RESOURCE      4                   /* memory, disk: may be retried later */
#define WENGU_E_INTERNAL      5                   /* plugin bug; the instance is still usable */
#define WENGU_E_POISONED      6                   /* caught panic or exception: only destroy() may follow */

typedef struct wengu_bytes {                      /* borrowed for the call; {0,0} is empty */
  const uint8_t *ptr;
  uint64_t len;
} wengu_bytes;

typedef struct wengu_error {                      /* the caller's memory, never null; empty when the call begins */
  uint64_t size;
  char message[1016];                             /* UTF-8, NUL-terminated: what was wrong, for people */
} wengu_error;

typedef struct wengu_sink {                       /* the receiver copies before put() returns */
  void *ctx;
  wengu_status (*put)(void *ctx, const void *items, uint64_t count); /* stop at the first non-OK and return it */
} wengu_sink;

typedef struct wengu_host {                       /* valid until destroy() has returned */
  uint64_t size;
  void *ctx;
  void (*log)(void *ctx, int32_t level, wengu_bytes text);         /* [any] 0 error .. 4 trace */
  int32_t (*keep_going)(void *ctx, uint64_t done, uint64_t total); /* [instance] heartbeat; 0 = stop now */
} wengu_host;

typedef struct wengu_descriptor {                 /* static; must agree with manifest.toml */
  uint64_t size;
  const char *id;                                 /* reverse DNS: "org.example.contracts" */
  const char *name;
  const char *version;                            /* semantic version */
  const char *domain;                             /* "legal" */
  const char *const *languages;                   /* BCP 47, NULL-terminated */
  const char *const *provides;                    /* extension ids, NULL-terminated */
} wengu_descriptor;

typedef struct wengu_instance wengu_instance;     /* opaque, owned by the plugin */

typedef struct wengu_entry {                      /* static, immutable */
  uint64_t size;
  uint32_t abi_major;
  uint32_t abi_minor;
  const wengu_descriptor *descriptor;
  wengu_status (*create)(const wengu_host *host, wengu_bytes config_json, wengu_instance **out,
                         wengu_error *err);       /* [any] may read files; frees its own half on failure */
  void (*destroy)(wengu_instance *instance);      /* [instance] the last call; also after WENGU_E_POISONED */
  const void *(*extension)(const char *id);       /* [any] a static table, or NULL where not provided */
} wengu_entry;

/* Extension tables. An id is frozen for ever; a changed table gets "/2". No function may be null. All [instance]. */

#define WENGU_EXT_SEGMENTER "wengu.segmenter/1"
#define WENGU_SEGMENT_TEXT 0u                     /* the base tokenizer splits it as usual */
#define WENGU_SEGMENT_TERM 1u                     /* no token may cross its borders; one token where the vocabulary has it */
#define WENGU_SEGMENT_DROP 2u                     /* page furniture, identifiers: not shown to the model */
typedef struct wengu_segment {                    /* bytes begin..end, not empty, on character borders */
  uint32_t kind;
  uint32_t begin;
  uint32_t end;
} wengu_segment;
typedef struct wengu_segmenter_v1 {
  /* Sink of wengu_bytes: terms that deserve a token of their own, without repeats. The same for every call. */
  wengu_status (*terms)(wengu_instance *instance, const wengu_sink *terms, wengu_error *err);
  /* Sink of wengu_segment: in order, together they tile the text without gap or overlap. */
  wengu_status (*segment)(wengu_instance *instance, wengu_bytes text, const wengu_sink *segments, wengu_error *err);
} wengu_segmenter_v1;

#define WENGU_EXT_LABELER "wengu.labeler/1"
typedef struct wengu_vote {                       /* silence is abstention */
  uint32_t function;                              /* index into functions() */
  uint32_t label;                                 /* index into labels() */
  uint32_t begin, end;                            /* span in bytes on character borders; 0,0 = the whole document */
  double confidence;                              /* in (0,1]; 1 only where a person has said so, not a rule */
} wengu_vote;
typedef struct wengu_labeler_v1 {
  /* Sinks of wengu_bytes: names, without repeats, the same for every call. */
  wengu_status (*labels)(wengu_instance *instance, const wengu_sink *names, wengu_error *err);
  wengu_status (*functions)(wengu_instance *instance, const wengu_sink *names, wengu_error *err);
  /* Sink of wengu_vote. metadata_json is an object; ignore the keys you do not know. */
  wengu_status (*label)(wengu_instance *instance, wengu_bytes text, wengu_bytes metadata_json, uint64_t seed,
                        const wengu_sink *votes, wengu_error *err);
} wengu_labeler_v1;

#define WENGU_EXT_EVALUATOR "wengu.evaluator/1"
typedef struct wengu_metric {
  char name[56];                                  /* UTF-8, NUL-terminated */
  int32_t higher_is_better;
  uint32_t reserved;                              /* 0 */
} wengu_metric;
typedef struct wengu_prediction {
  wengu_bytes input;
  wengu_bytes expected;
  wengu_bytes actual;
} wengu_prediction;
typedef struct wengu_score {
  uint32_t metric;                                /* index into metrics() */
  uint32_t reserved;                              /* 0 */
  double value;                                   /* finite */
} wengu_score;
typedef struct wengu_evaluator_v1 {               /* scores single items; the daemon does the statistics */
  /* Sink of wengu_metric. The same for every call. */
  wengu_status (*metrics)(wengu_instance *instance, const wengu_sink *metrics, wengu_error *err);
  /* Sink of wengu_score: each metric once. */
  wengu_status (*score)(wengu_instance *instance, const wengu_prediction *item, uint64_t seed,
                        const wengu_sink *scores, wengu_error *err);
} wengu_evaluator_v1;

WENGU_EXPORT const wengu_entry *wengu_entry_v1(void); /* [scan] the only exported symbol; always the same table */
#ifdef __cplusplus
}
#endif
#endif
