// FINDER MODEL: what was opened before fork says so in the child, where it hung; the child opens its own, and both go on.
#include <fer_fast/classifier.h>
#include <fer_fast/fer_fast.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>

#include "expect.h"

using fer_fast::ErrorCode;
using fer_fast::ImageView;

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::vector<uint8_t> pixels(40 * 40 * 3, 99);
  ImageView image;
  image.data = pixels.data();
  image.size = pixels.size();
  image.width = image.height = 40;
  std::optional<fer_fast::Classifier> classifier(std::in_place, argv[2]);
  std::optional<fer_fast::FaceFinder> finder(std::in_place, argv[1]);
  fer_fast_classifier* plain = nullptr;
  require(fer_fast_open(argv[2], nullptr, &plain) == FER_FAST_OK);
  const std::vector<ImageView> many(50, image);  // all streams work before
  const float before = classifier->classify(many)[0].confidence;
  finder->find(image);

  const pid_t child = fork();
  if (child == 0) {
    alarm(120);  // a child that hangs ends by a signal
    const std::string words = "opened before fork, by process " + std::to_string(getppid()) + ": open after fork";
    expect(ErrorCode::kInvalidArgument, words, [&] { classifier->classify(image); });
    expect(ErrorCode::kInvalidArgument, words, [&] { classifier->classify(many); });
    expect(ErrorCode::kInvalidArgument, words, [&] { classifier->describe(); });
    expect(ErrorCode::kInvalidArgument, words, [&] { classifier->classify_faces(*finder, image); });
    expect(ErrorCode::kInvalidArgument, words, [&] { finder->find(image); });
    const fer_fast_image view = {sizeof(view), image.data, image.size, image.width, image.height, 0, FER_FAST_RGB8};
    float row[64];
    require(fer_fast_classify(plain, &view, 1, row, 64) == FER_FAST_INVALID_ARGUMENT);
    require(std::string(fer_fast_last_error()).find(words) != std::string::npos);
    const fer_fast::Classifier own(argv[2]);
    require(own.classify(many)[0].confidence == before);
    fer_fast_close(plain);
    classifier.reset();
    finder.reset();
    std::exit(failures);
  }
  int status = -1;
  require(child > 0 && waitpid(child, &status, 0) == child && status == 0);
  require(classifier->classify(many)[0].confidence == before);
  fer_fast_close(plain);
  return failures == 0 ? 0 : 1;
}
