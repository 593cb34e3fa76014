/* MODEL WEIGHTS: structs of older and newer headers, models in memory, and what on_call is told, by the C interface. */
#include <fer_fast/fer_fast.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(holds)                                                               \
  if (!(holds)) {                                                                    \
    fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #holds, fer_fast_last_error()); \
    return 1;                                                                        \
  }
#define REFUSED(call, words) REQUIRE((call) == FER_FAST_INVALID_ARGUMENT && strstr(fer_fast_last_error(), words) != NULL)

/* As a later header might have it. */
typedef struct {
  fer_fast_image known;
  int64_t more;
} later_image;

static char* bytes_of(const char* path, size_t* size) {
  static char bytes[1 << 26];
  FILE* file = fopen(path, "rb");
  char* copied;
  if (file == NULL) return NULL;
  *size = fread(bytes, 1, sizeof(bytes), file);
  fclose(file);
  copied = malloc(*size);
  return copied == NULL ? NULL : memcpy(copied, bytes, *size);
}

static int refuses_other_structs(const fer_fast_classifier* classifier, const char* model) {
  static const uint8_t pixels[4] = {0, 90, 180, 255};
  fer_fast_image images[2] = {{sizeof(fer_fast_image), pixels, 4, 2, 2, 0, FER_FAST_GREY8}};
  later_image later[2];
  fer_fast_options options = {0};
  fer_fast_finder_options finder_options = {.struct_size = 1};
  fer_fast_classifier* other;
  fer_fast_finder* finder;
  float row[16], rows[16];
  images[1] = images[0];
  REQUIRE(fer_fast_classify(classifier, images, 2, row, 16) == FER_FAST_OK);

  memset(later, 0, sizeof(later));
  later[0].known = later[1].known = images[0];
  later[0].known.struct_size = later[1].known.struct_size = sizeof(later_image);
  REQUIRE(fer_fast_classify(classifier, &later[0].known, 2, rows, 16) == FER_FAST_OK);
  REQUIRE(memcmp(row, rows, sizeof(row)) == 0);
  later[1].more = 1;
  REFUSED(fer_fast_classify(classifier, &later[0].known, 2, rows, 16), "image 1: version " FER_FAST_VERSION);
  REQUIRE(strstr(fer_fast_last_error(), "does not know what is 64 bytes into the struct, so that it must be 0") != NULL);
  later[1].more = 0;
  later[1].known.struct_size = sizeof(fer_fast_image);
  REFUSED(fer_fast_classify(classifier, &later[0].known, 2, rows, 16), "image 1: struct_size must be image 0's 72, not 64");

  images[1].struct_size = 4096; /* of which the array has none */
  REFUSED(fer_fast_classify(classifier, images, 2, rows, 16), "image 1: struct_size must be image 0's 64, not 4096");

  images[0].struct_size = 0;
  REFUSED(fer_fast_classify(classifier, images, 1, row, 16), "struct_size must be the struct's sizeof, at least 64 bytes, not 0");
  images[0].struct_size = SIZE_MAX;
  REFUSED(fer_fast_classify(classifier, images, 1, row, 16), "image 0: struct_size must be the struct's sizeof");
  REFUSED(fer_fast_open(model, &options, &other), "options: struct_size must be the struct's sizeof, at least 40 bytes, not 0");
  REFUSED(fer_fast_finder_open(model, &finder_options, &finder), "options: struct_size must be");
  REQUIRE(other == NULL && finder == NULL);
  return 0;
}

static int opens_bytes(const char* graph, size_t graph_size, char* weights, size_t weights_size, float* row) {
  static const uint8_t pixels[4] = {0, 90, 180, 255};
  const fer_fast_image image = {sizeof(image), pixels, sizeof(pixels), 2, 2, 0, FER_FAST_GREY8};
  fer_fast_classifier* classifier;
  fer_fast_finder* finder;
  REFUSED(fer_fast_open_bytes(NULL, 9, weights, weights_size, NULL, NULL, &classifier), "must not be null");
  REFUSED(fer_fast_open_bytes(graph, graph_size, NULL, 9, NULL, NULL, &classifier), "must not be null");
  REFUSED(fer_fast_open_bytes(graph, graph_size, weights, weights_size, NULL, NULL, NULL), "classifier must not be null");
  REQUIRE(fer_fast_open_bytes(graph, 0, weights, weights_size, NULL, NULL, &classifier) == FER_FAST_MODEL_UNSUPPORTED);
  REQUIRE(fer_fast_open_bytes(graph, graph_size - 1, weights, weights_size, NULL, NULL, &classifier) ==
          FER_FAST_MODEL_UNSUPPORTED);
  REQUIRE(strstr(fer_fast_last_error(), "the model 'in memory' is cut short") != NULL);
  REQUIRE(fer_fast_open_bytes(graph, graph_size, weights, weights_size - 1, NULL, NULL, &classifier) ==
          FER_FAST_MODEL_DAMAGED);
  weights[weights_size / 2] ^= 1;
  REQUIRE(fer_fast_open_bytes(graph, graph_size, weights, weights_size, NULL, NULL, &classifier) ==
          FER_FAST_MODEL_DAMAGED);
  REQUIRE(strstr(fer_fast_last_error(), "its weights changed since it was exported") != NULL && classifier == NULL);
  weights[weights_size / 2] ^= 1;
  REQUIRE(fer_fast_finder_open_bytes(graph, graph_size, weights, weights_size, NULL, &finder) ==
          FER_FAST_MODEL_UNSUPPORTED);
  REFUSED(fer_fast_open_bytes(graph, graph_size, weights, weights_size, NULL, "joy=1", &classifier), "'joy' is none");
  REQUIRE(fer_fast_open_bytes(graph, graph_size, weights, weights_size, NULL, NULL, &classifier) == FER_FAST_OK);
  memset(weights, 0, weights_size); /* the library has its own */
  REQUIRE(fer_fast_classify(classifier, &image, 1, row, 8) == FER_FAST_OK);
  fer_fast_close(classifier);
  return 0;
}

/* On as many calls as come: what, images and faces of each in a text. */
static void note(const fer_fast_call* call, void* context) {
  char* text = context;
  snprintf(text + strlen(text), 256 - strlen(text), "%s %d %d %d%s\n", call->what, (int)call->images, (int)call->faces,
           call->call_ms >= call->infer_ms && call->preprocess_ms >= 0 && call->struct_size == sizeof(*call),
           call->error == NULL ? "" : " error");
}

static int tells(const char* model) {
  static const uint8_t pixels[4] = {0, 90, 180, 255};
  static const char kTold[] = "open 0 0 1 error\nopen 0 0 1\nclassify 1 1 1\nclassify 1 0 1 error\n";
  fer_fast_image image = {sizeof(image), pixels, sizeof(pixels), 2, 2, 0, FER_FAST_GREY8};
  fer_fast_options options = {.struct_size = sizeof(options), .on_call = note};
  char text[256] = "";
  float row[8];
  fer_fast_classifier* classifier;
  options.context = text;
  options.pinning = FER_FAST_PINNING_ON + 1;
  REFUSED(fer_fast_open(model, &options, &classifier), "pinning must be 0, 1 or 2 (a Pinning), not 3");
  options.pinning = FER_FAST_PINNING_OFF;
  REQUIRE(fer_fast_open(model, &options, &classifier) == FER_FAST_OK);
  REQUIRE(strstr(fer_fast_describe(classifier), "\npinning=off\n") != NULL);
  REQUIRE(fer_fast_classify(classifier, &image, 1, row, 8) == FER_FAST_OK);
  image.width = 3;
  REFUSED(fer_fast_classify(classifier, &image, 1, row, 8), "size must be at least");
  fer_fast_close(classifier);
  REQUIRE(strcmp(text, kTold) == 0);
  options.struct_size = offsetof(fer_fast_options, on_call); /* of the first header */
  REQUIRE(fer_fast_open(model, &options, &classifier) == FER_FAST_OK);
  fer_fast_close(classifier);
  REQUIRE(strcmp(text, kTold) == 0);
  return 0;
}

int main(int argc, char** argv) {
  static const uint8_t pixels[4] = {0, 90, 180, 255};
  const fer_fast_image image = {sizeof(image), pixels, sizeof(pixels), 2, 2, 0, FER_FAST_GREY8};
  char *graph, *weights;
  size_t graph_size, weights_size;
  float row[8], same[8];
  const fer_fast_device_images on_card = {sizeof(on_card), pixels, SIZE_MAX, 1, same, 8, NULL};
  fer_fast_classifier* classifier;
  REQUIRE(argc == 3);
  REQUIRE(strcmp(fer_fast_version(), FER_FAST_VERSION) == 0 && fer_fast_abi() == FER_FAST_ABI);
  REQUIRE(fer_fast_open(argv[1], NULL, &classifier) == FER_FAST_OK);
  REQUIRE(refuses_other_structs(classifier, argv[1]) == 0);
  REQUIRE(tells(argv[1]) == 0);
  REQUIRE(fer_fast_classify(classifier, &image, 1, row, 8) == FER_FAST_OK);
  REQUIRE(fer_fast_enqueue(classifier, &on_card) == FER_FAST_DEVICE_MISSING);
  fer_fast_close(classifier);
  graph = bytes_of(argv[1], &graph_size);
  weights = bytes_of(argv[2], &weights_size);
  REQUIRE(graph != NULL && weights != NULL);
  REQUIRE(opens_bytes(graph, graph_size, weights, weights_size, same) == 0);
  REQUIRE(memcmp(row, same, sizeof(row)) == 0);
  free(graph);
  free(weights);
  return 0;
}
