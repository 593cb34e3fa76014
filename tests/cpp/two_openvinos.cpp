// MODEL [LIBRARY before|after]: a program with an OpenVINO of its own, which it is linked with, or opens before or after a
// model. Prints what the classifier says of itself.
#include <dlfcn.h>
#include <fer_fast/classifier.h>

#include <iostream>

extern "C" __attribute__((weak)) int ov_core_create(void** core);

static bool makes_a_core(const char* library) {
  void* const opened = library == nullptr ? nullptr : dlopen(library, RTLD_NOW | RTLD_LOCAL);
  void* const found = opened == nullptr ? nullptr : dlsym(opened, "ov_core_create");
  const auto create = library == nullptr ? ov_core_create : reinterpret_cast<int (*)(void**)>(found);
  void* core = nullptr;
  return create != nullptr && create(&core) == 0 && core != nullptr;
}

int main(int argc, char** argv) {
  if (argc != 2 && argc != 4) return 2;
  const char* const library = argc == 4 ? argv[2] : nullptr;
  const bool after = argc == 4 && std::string(argv[3]) == "after";
  if (!after && !makes_a_core(library)) return 3;
  try {
    const std::vector<uint8_t> pixels(40 * 40 * 3, 99);
    fer_fast::ImageView image;
    image.data = pixels.data();
    image.size = pixels.size();
    image.width = image.height = 40;
    const fer_fast::Classifier classifier(argv[1]);
    const float before = classifier.classify(image).confidence;
    if (after && !makes_a_core(library)) return 3;
    if (classifier.classify(image).confidence != before) return 4;
    std::cout << classifier.describe();
  } catch (const fer_fast::Error& error) {
    std::cerr << static_cast<int>(error.code()) << ' ' << error.what() << '\n';
    return 1;
  }
}
