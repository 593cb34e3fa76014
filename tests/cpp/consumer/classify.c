/* MODEL [PRIOR]: one grey image of 2 x 2 pixels by the C interface, and what it answers to misuse. Prints a line a class. */
#include <fer_fast/fer_fast.h>
#include <stdio.h>
#include <string.h>

#define REQUIRE(holds)                                   \
  if (!(holds)) {                                        \
    fprintf(stderr, "line %d: %s\n", __LINE__, #holds);  \
    return 1;                                            \
  }

int main(int argc, char** argv) {
  static const uint8_t pixels[4] = {0, 90, 180, 255};
  const fer_fast_image image = {sizeof(image), pixels, sizeof(pixels), 2, 2, 0, FER_FAST_GREY8};
  const fer_fast_options options = {sizeof(options), 1, 1000, FER_FAST_PRECISION_FP32, FER_FAST_LATENCY, "CPU"};
  fer_fast_classifier* classifier = (fer_fast_classifier*)&image;
  float probabilities[64], sum = 0;
  size_t count, i;
  REQUIRE(argc == 2 || argc == 3);

  REQUIRE(fer_fast_open("nowhere.xml", NULL, &classifier) == FER_FAST_MODEL_NOT_FOUND && classifier == NULL);
  REQUIRE(strstr(fer_fast_last_error(), "nowhere.xml") != NULL);
  REQUIRE(fer_fast_classify(classifier, &image, 1, probabilities, 64) == FER_FAST_INVALID_ARGUMENT);
  REQUIRE(fer_fast_class_count(classifier) == 0 && fer_fast_class_name(classifier, 0) == NULL);
  REQUIRE(fer_fast_open(NULL, NULL, &classifier) == FER_FAST_INVALID_ARGUMENT);
  REQUIRE(fer_fast_open(argv[1], NULL, NULL) == FER_FAST_INVALID_ARGUMENT);
  fer_fast_close(NULL);
  classifier = (fer_fast_classifier*)&image;
  REQUIRE(fer_fast_open_with_prior(argv[1], NULL, "Balanced", &classifier) == FER_FAST_INVALID_ARGUMENT);
  REQUIRE(strstr(fer_fast_last_error(), "prior must be train, balanced, shares such as") != NULL && classifier == NULL);
  REQUIRE(fer_fast_open_with_prior(argv[1], NULL, NULL, NULL) == FER_FAST_INVALID_ARGUMENT);

  if (fer_fast_open_with_prior(argv[1], &options, argc == 3 ? argv[2] : NULL, &classifier) != FER_FAST_OK) {
    fprintf(stderr, "%s\n", fer_fast_last_error());
    return 1;
  }
  count = fer_fast_class_count(classifier);
  REQUIRE(count == 8 && fer_fast_image_size(classifier) > 0 && fer_fast_class_name(classifier, count) == NULL);
  REQUIRE(strstr(fer_fast_describe(classifier), "engine=") != NULL);
  REQUIRE(strstr(fer_fast_describe(classifier), argc == 3 ? argv[2] : "prior=train\n") != NULL);
  REQUIRE(fer_fast_classify(classifier, &image, 1, probabilities, count - 1) == FER_FAST_INVALID_ARGUMENT);
  REQUIRE(strstr(fer_fast_last_error(), "capacity must be at least") != NULL);
  REQUIRE(fer_fast_classify(classifier, &image, SIZE_MAX / 8, probabilities, SIZE_MAX) == FER_FAST_INVALID_ARGUMENT);
  REQUIRE(strstr(fer_fast_last_error(), "count must be at most ") != NULL);
  REQUIRE(fer_fast_classify(classifier, NULL, 1, probabilities, 64) == FER_FAST_INVALID_ARGUMENT);
  REQUIRE(fer_fast_classify(classifier, NULL, 0, NULL, 0) == FER_FAST_OK);
  REQUIRE(fer_fast_classify(classifier, &image, 1, probabilities, 64) == FER_FAST_OK);
  for (i = 0; i < count; ++i) {
    printf("%s %.6f\n", fer_fast_class_name(classifier, i), probabilities[i]);
    sum += probabilities[i];
  }
  REQUIRE(sum > 0.999f && sum < 1.001f);
  fer_fast_close(classifier);
  return 0;
}
