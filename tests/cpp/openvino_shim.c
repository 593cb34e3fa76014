/* Stands in for libopenvino_c: of its calls that may fail, the one whose number is set fails; it counts what lives. As with
   OpenVINO each thread has one of two streams for good, and a stream runs one call at a time; the first may be held. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  char *build_number, *description;
} ov_version;

typedef struct {
  int64_t rank;
  int64_t* dims;
} ov_shape;

static int calls, failing, living;

/* From now on the call of this number fails; 0 is none. Gives the number of calls until now. */
int stub_fail_at(int number) {
  const int made = __atomic_exchange_n(&calls, 0, __ATOMIC_SEQ_CST);
  failing = number;
  return made;
}

int stub_living(void) { return __atomic_load_n(&living, __ATOMIC_SEQ_CST); }

static pthread_mutex_t streams[] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
static int threads, inferring;
static __thread int number; /* of this thread, from 1 */

void stub_hold(void) { pthread_mutex_lock(&streams[0]); }
void stub_go_on(void) { pthread_mutex_unlock(&streams[0]); }

/* Calls that began to infer until now. */
int stub_inferring(void) { return __atomic_load_n(&inferring, __ATOMIC_SEQ_CST); }

static int status(void) { return __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST) == failing ? -1 : 0; }

static void* made(const char* text) {
  __atomic_add_fetch(&living, 1, __ATOMIC_SEQ_CST);
  return strdup(text);
}

static void freed(void* thing) {
  if (thing != NULL) __atomic_sub_fetch(&living, 1, __ATOMIC_SEQ_CST);
  free(thing);
}

static int make(void** thing, const char* text) {
  if (status() != 0) return -1;
  *thing = made(text);
  return 0;
}

int ov_get_openvino_version(ov_version* version) {
  version->build_number = made("2026.1.0-1-stub");
  version->description = made("a stub");
  return 0;
}

void ov_version_free(ov_version* version) {
  freed(version->build_number);
  freed(version->description);
}

char* ov_get_last_err_msg(void) { return made("it\nfailed"); }
void ov_free(char* text) { freed(text); }

int ov_core_create(void** core) { return make(core, "core"); }
void ov_core_free(void* core) { freed(core); }

int ov_core_get_property(void* core, const char* device, const char* name, char** value) {
  (void)core, (void)device, (void)name;
  return make((void**)value, "FP32 INT8");
}

int ov_core_read_model_from_memory_buffer(void* core, const char* graph, size_t bytes, void* weights, void** model) {
  (void)core, (void)graph, (void)bytes, (void)weights;
  return make(model, "model");
}
void ov_model_free(void* model) { freed(model); }

int ov_core_compile_model(void* core, void* model, const char* device, size_t texts, void** compiled, ...) {
  (void)core, (void)model, (void)device, (void)texts;
  return make(compiled, "compiled");
}
void ov_compiled_model_free(void* compiled) { freed(compiled); }

int ov_compiled_model_get_property(void* compiled, const char* name, char** value) {
  (void)compiled;
  return make((void**)value, strcmp(name, "INFERENCE_PRECISION_HINT") == 0 ? "f32" : "2");
}

int ov_compiled_model_create_infer_request(void* compiled, void** request) {
  (void)compiled;
  return make(request, "request");
}
void ov_infer_request_free(void* request) { freed(request); }

int ov_infer_request_set_input_tensor(void* request, void* tensor) {
  (void)request, (void)tensor;
  return status();
}

int ov_infer_request_set_output_tensor(void* request, void* tensor) {
  (void)request, (void)tensor;
  return status();
}

int ov_infer_request_infer(void* request) {
  (void)request;
  if (number == 0) number = __atomic_add_fetch(&threads, 1, __ATOMIC_SEQ_CST);
  pthread_mutex_t* stream = &streams[(number - 1) % 2];
  __atomic_add_fetch(&inferring, 1, __ATOMIC_SEQ_CST);
  pthread_mutex_lock(stream);
  const int found = status();
  pthread_mutex_unlock(stream);
  return found;
}

int ov_tensor_create_from_host_ptr(int type, ov_shape shape, void* data, void** tensor) {
  (void)type, (void)shape, (void)data;
  return make(tensor, "tensor");
}
void ov_tensor_free(void* tensor) { freed(tensor); }
