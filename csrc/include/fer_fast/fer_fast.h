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

enum { FER_FAST_GREY8 = 0, FER_FAST_RGB8 = 1, FER_FAST_BGR8 = 2, FER_FAST_RGBA8 = 3 };
enum { FER_FAST_PRECISION_AUTO = 0, FER_FAST_PRECISION_FP32 = 1, FER_FAST_PRECISION_BF16 = 2 };
enum { FER_FAST_THROUGHPUT = 0, FER_FAST_LATENCY = 1 };

/* As fer_fast::ImageView. */
typedef struct {
  const uint8_t* data;
  size_t size;
  int64_t width;
  int64_t height;
  int64_t stride;
  int32_t format;
} fer_fast_image;

/* As fer_fast::Options; all zero are the defaults. */
typedef struct {
  size_t batch_size;
  int32_t threads;
  int32_t precision;
  int32_t goal;
  const char* device; /* null is auto */
} fer_fast_options;

/* Opens a model; *classifier is null unless FER_FAST_OK is returned. `options` may be null. */
FER_FAST_API int32_t fer_fast_open(const char* model, const fer_fast_options* options, fer_fast_classifier** classifier);

/* Frees it; null is allowed. No other call may be running. */
FER_FAST_API void fer_fast_close(fer_fast_classifier* classifier);

/* Writes [count][classes] probabilities; `capacity` is the number of floats that `probabilities` holds. Safe from many
 * threads at once. */
FER_FAST_API int32_t fer_fast_classify(const fer_fast_classifier* classifier, const fer_fast_image* images, size_t count,
                                       float* probabilities, size_t capacity);

/* 0 for null. */
FER_FAST_API size_t fer_fast_class_count(const fer_fast_classifier* classifier);
FER_FAST_API int64_t fer_fast_image_size(const fer_fast_classifier* classifier);

/* The classifier's own; null for null or beyond the last. */
FER_FAST_API const char* fer_fast_class_name(const fer_fast_classifier* classifier, size_t index);
FER_FAST_API const char* fer_fast_describe(const fer_fast_classifier* classifier);

typedef struct fer_fast_finder fer_fast_finder;

/* As fer_fast::FinderOptions; all zero are the defaults. With min_face 1 and a score of 1e-9 all faces are found. */
typedef struct {
  int64_t find_size;
  double score;
  double min_face;
  size_t max_faces;
  int32_t threads;
  int32_t precision;
  int32_t goal;
  const char* device; /* null is auto */
} fer_fast_finder_options;

/* As fer_fast::Face; landmarks are x, y of each. */
typedef struct {
  float x, y, width, height;
  float landmarks[10];
  float score;
} fer_fast_face;

/* Opens a face finder; *finder is null unless FER_FAST_OK is returned. `options` may be null. */
FER_FAST_API int32_t fer_fast_finder_open(const char* model, const fer_fast_finder_options* options, fer_fast_finder** finder);

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
