/* FINDER MODEL PHOTO: a binary PPM by the C interface, and what it answers to misuse. Prints a line a face: box and label. */
#include <fer_fast/fer_fast.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(holds)                                                                  \
  if (!(holds)) {                                                                       \
    fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #holds, fer_fast_last_error());     \
    return 1;                                                                           \
  }

enum { MOST = 20, CLASSES = 8 };

static uint8_t* read_photo(const char* path, fer_fast_image* photo) {
  int width = 0, height = 0;
  uint8_t* pixels = NULL;
  FILE* file = fopen(path, "rb");
  if (file == NULL) return NULL;
  if (fscanf(file, "P6 %d %d 255", &width, &height) == 2 && fgetc(file) != EOF) {
    photo->width = width;
    photo->height = height;
    photo->size = (size_t)width * (size_t)height * 3;
    photo->format = FER_FAST_RGB8;
    pixels = malloc(photo->size);
    if (pixels != NULL && fread(pixels, 1, photo->size, file) != photo->size) photo->size = 0;
  }
  fclose(file);
  photo->data = pixels;
  return pixels;
}

int main(int argc, char** argv) {
  fer_fast_finder_options options = {.struct_size = sizeof(options)};
  fer_fast_finder* finder = (fer_fast_finder*)&options;
  fer_fast_classifier* classifier = NULL;
  fer_fast_face faces[MOST], again[MOST];
  fer_fast_image photo = {.struct_size = sizeof(photo)};
  float probabilities[MOST * CLASSES];
  size_t count = 99, fewer = 0, i, k, best;
  uint8_t* pixels;
  REQUIRE(argc == 4);

  REQUIRE(fer_fast_finder_open("nowhere.xml", NULL, &finder) == FER_FAST_MODEL_NOT_FOUND && finder == NULL);
  REQUIRE(fer_fast_finder_open(argv[2], NULL, &finder) == FER_FAST_MODEL_UNSUPPORTED);
  REQUIRE(strstr(fer_fast_last_error(), "is a classifier: open it as a Classifier") != NULL);
  REQUIRE(fer_fast_open(argv[1], NULL, &classifier) == FER_FAST_MODEL_UNSUPPORTED);
  REQUIRE(strstr(fer_fast_last_error(), "is a face finder: open it as a FaceFinder") != NULL);
  REQUIRE(fer_fast_finder_open(argv[1], NULL, NULL) == FER_FAST_INVALID_ARGUMENT);
  fer_fast_finder_close(NULL);
  REQUIRE(fer_fast_finder_describe(NULL) == NULL);
  options.score = 2;
  REQUIRE(fer_fast_finder_open(argv[1], &options, &finder) == FER_FAST_INVALID_ARGUMENT);
  options.score = 0;
  options.precision = FER_FAST_PRECISION_FP32;

  REQUIRE(fer_fast_finder_open(argv[1], &options, &finder) == FER_FAST_OK);
  REQUIRE(fer_fast_open(argv[2], NULL, &classifier) == FER_FAST_OK);
  REQUIRE(fer_fast_class_count(classifier) == CLASSES);
  REQUIRE(strstr(fer_fast_finder_describe(finder), "find_size=640\nscore=0.6\nmin_face=24\nmax_faces=0\n") != NULL);
  REQUIRE(fer_fast_find(finder, &photo, faces, MOST, &count) == FER_FAST_INVALID_ARGUMENT && count == 0);
  pixels = read_photo(argv[3], &photo);
  REQUIRE(pixels != NULL && photo.size > 0);
  REQUIRE(fer_fast_find(NULL, &photo, faces, MOST, &count) == FER_FAST_INVALID_ARGUMENT);
  REQUIRE(fer_fast_find(finder, NULL, faces, MOST, &count) == FER_FAST_INVALID_ARGUMENT);
  REQUIRE(fer_fast_find(finder, &photo, NULL, 1, &count) == FER_FAST_INVALID_ARGUMENT);
  REQUIRE(fer_fast_find(finder, &photo, faces, MOST, NULL) == FER_FAST_INVALID_ARGUMENT);
  REQUIRE(fer_fast_classify_faces(classifier, finder, &photo, faces, NULL, MOST, &count) == FER_FAST_INVALID_ARGUMENT);
  REQUIRE(fer_fast_find(finder, &photo, NULL, 0, &fewer) == FER_FAST_OK);
  REQUIRE(fer_fast_classify_faces(classifier, finder, &photo, faces, probabilities, MOST, &count) == FER_FAST_OK);
  REQUIRE(count == fewer && count > 1 && count <= MOST);
  again[1].score = -1;
  REQUIRE(fer_fast_find(finder, &photo, again, 1, &fewer) == FER_FAST_OK);
  REQUIRE(fewer == count && again[0].x == faces[0].x && again[0].landmarks[9] == faces[0].landmarks[9]);
  REQUIRE(again[1].score == -1);
  for (i = 0; i < count; ++i) {
    for (best = 0, k = 1; k < CLASSES; ++k) {
      if (probabilities[i * CLASSES + k] > probabilities[i * CLASSES + best]) best = k;
    }
    printf("%.2f %.2f %.2f %.2f %s\n", faces[i].x, faces[i].y, faces[i].width, faces[i].height,
           fer_fast_class_name(classifier, best));
  }
  free(pixels);
  fer_fast_close(classifier);
  fer_fast_finder_close(finder);
  return 0;
}
