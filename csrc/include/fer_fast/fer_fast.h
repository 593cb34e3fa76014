/* The classifier for C and for other languages' bindings: classifier.h without C++. Every function that can fail returns
 * one of the codes; fer_fast_last_error() says more, in the thread that called. */
#ifndef FER_FAST_FER_FAST_H
#define FER_FAST_FER_FAST_H

#include <stddef.h>
#include <stdint.h>

#include "fer_fast/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/* FER_FAST_VERSION and FER_FAST_ABI of the library that runs. */
FER_FAST_API const char* fer_fast_version(void);
FER_FAST_API int32_t fer_fast_abi(void);

typedef struct fer_fast_classifier fer_fast_classifier;

/* As fer_fast::ErrorCode. */
enum {
  FER_FAST_OK = 0,
  FER_FAST_INVALID_ARGUMENT = 1,
  FER_FAST_MODEL_NOT_FOUND = 2,
  FER_FAST_MODEL_DAMAGED = 3,
  FER_FAST_MODEL_UNSUPPORTED = 4,
  FER_FAST_ENGINE_MISSING = 5,
  FER_FAST_DEVICE_MISSING = 6,
  FER_FAST_ENGINE_FAILED = 7,
  FER_FAST_OUT_OF_MEMORY = 8
};

enum {
  FER_FAST_GREY8 = 0,
  FER_FAST_RGB8 = 1,
  FER_FAST_BGR8 = 2,
  FER_FAST_RGBA8 = 3,
  FER_FAST_NV12 = 4,
  FER_FAST_I420 = 5,
  FER_FAST_YUYV = 6
};
enum { FER_FAST_BT601 = 1, FER_FAST_BT709 = 2 };
enum { FER_FAST_LIMITED_RANGE = 1, FER_FAST_FULL_RANGE = 2 };
enum { FER_FAST_PRECISION_AUTO = 0, FER_FAST_PRECISION_FP32 = 1, FER_FAST_PRECISION_BF16 = 2 };
enum { FER_FAST_THROUGHPUT = 0, FER_FAST_LATENCY = 1 };
enum { FER_FAST_PINNING_AUTO = 0, FER_FAST_PINNING_OFF = 1, FER_FAST_PINNING_ON = 2 };

/* Of a struct that has one, `struct_size` is its sizeof: so a program runs with a later library, whose structs may have
 * more. What the program's has not got is 0 then. */

/* As fer_fast::ImageView. */
typedef struct {
  size_t struct_size;
  const uint8_t* data;
  size_t size;
  int64_t width;
  int64_t height;
  int64_t stride;
  int32_t format;
  int32_t matrix; /* these two must be said of FER_FAST_NV12, FER_FAST_I420 and FER_FAST_YUYV */
  int32_t range;
} fer_fast_image;

/* As fer_fast::Call; the library sets struct_size, the text is its own and lasts as long as the call. */
typedef struct {
  size_t struct_size;
  const char* what;
  const char* error; /* null of a call that ends well */
  size_t images;
  size_t faces;
  double preprocess_ms;
  double infer_ms;
  double call_ms;
} fer_fast_call;

/* As fer_fast::OnCall, with the options' `context`. It must return: to leave it by longjmp is undefined. */
typedef void (*fer_fast_on_call)(const fer_fast_call* call, void* context);

/* As fer_fast::Options; all zero but struct_size are the defaults. */
typedef struct {
  size_t struct_size;
  size_t batch_size;
  int32_t threads;
  int32_t precision;
  int32_t goal;
  const char* device; /* null is auto */
  fer_fast_on_call on_call;
  void* context;
  int32_t pinning;
} fer_fast_options;

/* Opens a model; *classifier is null unless FER_FAST_OK is returned. `options` may be null. */
FER_FAST_API int32_t fer_fast_open(const char* model, const fer_fast_options* options, fer_fast_classifier** classifier);

/* The same for a mix of classes, as the constructor of fer_fast::Classifier takes it; null is train. */
FER_FAST_API int32_t fer_fast_open_with_prior(const char* model, const fer_fast_options* options, const char* prior,
                                              fer_fast_classifier** classifier);

/* The same of the bytes of an .xml and its .bin, which are copied. */
FER_FAST_API int32_t fer_fast_open_bytes(const void* graph, size_t graph_size, const void* weights, size_t weights_size,
                                         const fer_fast_options* options, const char* prior,
                                         fer_fast_classifier** classifier);

/* Frees it; null is allowed. No other call may be running. */
FER_FAST_API void fer_fast_close(fer_fast_classifier* classifier);

/* Writes [count][classes] probabilities; all images have one struct_size; `capacity` is the number of floats that `probabilities` holds. Safe from many
 * threads at once. */
FER_FAST_API int32_t fer_fast_classify(const fer_fast_classifier* classifier, const fer_fast_image* images, size_t count,
                                       float* probabilities, size_t capacity);

/* As fer_fast::Box. It never changes: rows of it are the caller's. */
typedef struct {
  float x, y, width, height;
} fer_fast_box;

/* The same of faces in a frame, as fer_fast::Classifier::classify takes their boxes. */
FER_FAST_API int32_t fer_fast_classify_boxes(const fer_fast_classifier* classifier, const fer_fast_image* frame,
                                             const fer_fast_box* boxes, size_t count, float* probabilities, size_t capacity);

/* As fer_fast::DeviceImages: its pointers are a card's. */
typedef struct {
  size_t struct_size;
  const uint8_t* pixels;
  size_t size;
  size_t count;
  float* probabilities;
  size_t capacity;
  void* stream;
} fer_fast_device_images;

/* As fer_fast::Classifier::enqueue: images on the card of an .engine, on a stream of it. Returns before the card is done.
 * Safe from many threads at once. */
FER_FAST_API int32_t fer_fast_enqueue(const fer_fast_classifier* classifier, const fer_fast_device_images* images);

/* 0 for null. */
FER_FAST_API size_t fer_fast_class_count(const fer_fast_classifier* classifier);
FER_FAST_API int64_t fer_fast_image_size(const fer_fast_classifier* classifier);

/* The classifier's own; null for null or beyond the last. */
FER_FAST_API const char* fer_fast_class_name(const fer_fast_classifier* classifier, size_t index);
FER_FAST_API const char* fer_fast_describe(const fer_fast_classifier* classifier);

typedef struct fer_fast_finder fer_fast_finder;

/* As fer_fast::FinderOptions; all zero but struct_size are the defaults. With min_face 1 and a score of 1e-9 all faces are
 * found. */
typedef struct {
  size_t struct_size;
  int64_t find_size;
  double score;
  double min_face;
  size_t max_faces;
  int32_t threads;
  int32_t precision;
  int32_t goal;
  const char* device; /* null is auto */
  fer_fast_on_call on_call;
  void* context;
  int32_t pinning;
} fer_fast_finder_options;

/* As fer_fast::Face; landmarks are x, y of each. It never changes: rows of it are the caller's. */
typedef struct {
  float x, y, width, height;
  float landmarks[10];
  float score;
} fer_fast_face;

/* Opens a face finder; *finder is null unless FER_FAST_OK is returned. `options` may be null. */
FER_FAST_API int32_t fer_fast_finder_open(const char* model, const fer_fast_finder_options* options, fer_fast_finder** finder);

/* The same of the bytes of an .xml and its .bin, which are copied. */
FER_FAST_API int32_t fer_fast_finder_open_bytes(const void* graph, size_t graph_size, const void* weights,
                                                size_t weights_size, const fer_fast_finder_options* options,
                                                fer_fast_finder** finder);

/* Frees it; null is allowed. No other call may be running. */
FER_FAST_API void fer_fast_finder_close(fer_fast_finder* finder);
FER_FAST_API const char* fer_fast_finder_describe(const fer_fast_finder* finder);

/* Faces of a photo by falling area. *count is how many were found; of them the first `capacity` are written. Safe from many
 * threads at once. */
FER_FAST_API int32_t fer_fast_find(const fer_fast_finder* finder, const fer_fast_image* photo, fer_fast_face* faces,
                                   size_t capacity, size_t* count);

/* The same with probabilities, [capacity][classes]. */
FER_FAST_API int32_t fer_fast_classify_faces(const fer_fast_classifier* classifier, const fer_fast_finder* finder,
                                             const fer_fast_image* photo, fer_fast_face* faces, float* probabilities,
                                             size_t capacity, size_t* count);

/* What the last call of this thread that failed said; never null. */
FER_FAST_API const char* fer_fast_last_error(void);

#ifdef __cplusplus
}
#endif

#endif
