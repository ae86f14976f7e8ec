/* A whole wengu plugin in one C file: it labels weather reports by keyword, and needs nothing but the header. */
#include "wengu_plugin.h"
#include <stdlib.h>
#include <string.h>

struct wengu_instance {
  const wengu_host *host; /* valid until destroy() has returned */
};

static const char *const LABELS[] = {"rain", "snow", "sunshine"};
static const char *const KEYWORDS[] = {"rain", "snow", "sun"}; /* one labelling function for each label */
#define LABEL_COUNT (sizeof LABELS / sizeof LABELS[0])

static wengu_bytes bytes(const char *text) {
  wengu_bytes b;
  b.ptr = (const uint8_t *)text;
  b.len = strlen(text);
  return b;
}

/* Pushes each name; stops at the first status that is not OK, as the header asks. */
static wengu_status push_names(const wengu_sink *sink, const char *const *names) {
  for (size_t i = 0; i < LABEL_COUNT; i++) {
    wengu_bytes name = bytes(names[i]);
    wengu_status status = sink->put(sink->ctx, &name, 1);
    if (status != WENGU_OK) return status;
  }
  return WENGU_OK;
}

static wengu_status labels(wengu_instance *instance, const wengu_sink *names, wengu_error *err) {
  (void)instance, (void)err;
  return push_names(names, LABELS);
}

static wengu_status functions(wengu_instance *instance, const wengu_sink *names, wengu_error *err) {
  (void)instance, (void)err;
  return push_names(names, KEYWORDS);
}

/* memmem() is no part of C. A text may hold NUL bytes, so strstr() will not do. */
static int contains(wengu_bytes text, const char *word) {
  size_t len = strlen(word);
  for (uint64_t i = 0; i + len <= text.len; i++)
    if (memcmp(text.ptr + i, word, len) == 0) return 1;
  return 0;
}

static wengu_status label(wengu_instance *instance, wengu_bytes text, wengu_bytes metadata_json, uint64_t seed,
                          const wengu_sink *votes, wengu_error *err) {
  (void)metadata_json, (void)seed;
  if (text.len == 0) {
    strcpy(err->message, "an empty report says nothing about the weather");
    return WENGU_E_INPUT;
  }
  for (uint32_t i = 0; i < LABEL_COUNT; i++) {
    if (!instance->host->keep_going(instance->host->ctx, i, LABEL_COUNT)) return WENGU_E_CANCELLED;
    if (!contains(text, KEYWORDS[i])) continue; /* silence is abstention */
    wengu_vote vote = {i, i, 0, 0, 0.8};
    wengu_status status = votes->put(votes->ctx, &vote, 1);
    if (status != WENGU_OK) return status;
  }
  return WENGU_OK;
}

static const wengu_labeler_v1 LABELER = {labels, functions, label};

static wengu_status create(const wengu_host *host, wengu_bytes config_json, wengu_instance **out, wengu_error *err) {
  (void)config_json;
  wengu_instance *instance = malloc(sizeof *instance);
  if (!instance) {
    strcpy(err->message, "no memory");
    return WENGU_E_RESOURCE;
  }
  instance->host = host;
  host->log(host->ctx, 2, bytes("weather is ready"));
  *out = instance;
  return WENGU_OK;
}

static void destroy(wengu_instance *instance) { free(instance); }

static const void *extension(const char *id) { return strcmp(id, WENGU_EXT_LABELER) == 0 ? &LABELER : NULL; }

static const char *const LANGUAGES[] = {"en", NULL};
static const char *const PROVIDES[] = {WENGU_EXT_LABELER, NULL};
static const wengu_descriptor DESCRIPTOR = {sizeof DESCRIPTOR, "org.example.weather", "Weather reports", "1.0.0",
                                            "weather",         LANGUAGES,             PROVIDES};
static const wengu_entry ENTRY = {sizeof ENTRY, WENGU_ABI_MAJOR, WENGU_ABI_MINOR, &DESCRIPTOR,
                                  create,       destroy,         extension};

const wengu_entry *wengu_entry_v1(void) { return &ENTRY; }
