/* Counts the calls of CUDA's runtime and driver in this process by CUPTI's callbacks, so that a
 * test can say that nobody waits on the host. Built by cupti.py at test time; libcupti is opened
 * here, not linked. */
#include <cupti.h>
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { kNames = 512, kLength = 64 };
static char names[kNames][kLength];
static atomic_long counts[kNames];
static atomic_int used;
static atomic_flag adding = ATOMIC_FLAG_INIT;
static CUpti_SubscriberHandle subscriber;

typedef CUptiResult (*Subscribe)(CUpti_SubscriberHandle*, CUpti_CallbackFunc, void*);
typedef CUptiResult (*EnableDomain)(uint32_t, CUpti_SubscriberHandle, CUpti_CallbackDomain);

static int find(const char* name, int from, int to) {
  for (int i = from; i < to; ++i) {
    if (strncmp(names[i], name, kLength - 1) == 0) return i;
  }
  return -1;
}

static int place_of(const char* name) {
  const int seen = atomic_load(&used);
  int place = find(name, 0, seen);
  if (place >= 0) return place;
  while (atomic_flag_test_and_set(&adding)) {
  }
  const int now = atomic_load(&used);
  place = find(name, seen, now);
  if (place < 0 && now < kNames) {
    strncpy(names[now], name, kLength - 1);
    place = now;
    atomic_store(&used, now + 1);
  }
  atomic_flag_clear(&adding);
  return place;
}

static void CUPTIAPI called(void* context, CUpti_CallbackDomain domain, CUpti_CallbackId id,
                            const void* data) {
  const CUpti_CallbackData* call = (const CUpti_CallbackData*)data;
  (void)context, (void)domain, (void)id;
  if (call->callbackSite != CUPTI_API_ENTER || call->functionName == NULL) return;
  const int place = place_of(call->functionName);
  if (place >= 0) atomic_fetch_add(&counts[place], 1);
}

/* 0, or what failed: -1 to open the library, else CUPTI's code. */
int count_calls_start(const char* library) {
  void* cupti = dlopen(library, RTLD_NOW | RTLD_GLOBAL);
  if (cupti == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return -1;
  }
  const Subscribe subscribe = (Subscribe)dlsym(cupti, "cuptiSubscribe");
  const EnableDomain enable = (EnableDomain)dlsym(cupti, "cuptiEnableDomain");
  if (subscribe == NULL || enable == NULL) return -1;
  CUptiResult result = subscribe(&subscriber, called, NULL);
  if (result == CUPTI_SUCCESS) result = enable(1, subscriber, CUPTI_CB_DOMAIN_RUNTIME_API);
  if (result == CUPTI_SUCCESS) result = enable(1, subscriber, CUPTI_CB_DOMAIN_DRIVER_API);
  return (int)result;
}

/* The n-th name and its count; NULL past the last. */
const char* count_calls_name(int index) { return index < atomic_load(&used) ? names[index] : NULL; }
long count_calls_count(int index) { return atomic_load(&counts[index]); }
