// classify_images MODEL FOLDER [--prior PRIOR]: a folder of cropped faces comes in, a csv table goes to standard output.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <vector>

#include "arguments.h"
#include "csv.h"
#include "decode.h"

namespace {

std::vector<std::string> files_in(const std::string& folder) {
  constexpr auto skip = std::filesystem::directory_options::skip_permission_denied;
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, skip)) {
    if (entry.is_regular_file()) paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

void classify(const fer_fast::Classifier& classifier, const std::vector<std::string>& paths) {
  std::vector<Image> images;
  std::vector<fer_fast::ImageView> views;
  for (const std::string& path : paths) {
    images.push_back(decode(path));
    if (std::max(images.back().view.width, images.back().view.height) > fer_fast::kMaxImageSide) images.back() = {};
    if (images.back().pixels) views.push_back(images.back().view);
  }
  const auto predictions = classifier.classify(views);
  auto next = predictions.begin();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    std::cout << quoted(paths[i]);
    if (images[i].pixels) {
      std::cout << ",ok," << quoted(next->label) << ',' << next->confidence;
      for (const float probability : next->probabilities) std::cout << ',' << probability;
      ++next;
    } else {  // a bad file costs its own row
      std::cout << ",corrupt,," << std::string(classifier.classes().size(), ',');
    }
    std::cout << '\n';
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const std::string prior = taken("--prior", arguments).value_or("train");
  if (arguments.size() != 2 || !std::filesystem::is_directory(arguments[1])) {
    std::cerr << "usage: classify_images MODEL FOLDER [--prior PRIOR]\n";
    return 2;
  }
  try {
    const std::vector<std::string> paths = files_in(arguments[1]);
    const fer_fast::Classifier classifier(arguments[0], {}, prior);
    std::cout << "path,status,label,confidence";
    for (const std::string& name : classifier.classes()) std::cout << ',' << quoted(name);
    std::cout << '\n';
    constexpr std::size_t kAtOnce = 64;  // images in memory
    for (std::size_t first = 0; first < paths.size(); first += kAtOnce) {
      const auto begin = paths.begin() + static_cast<std::ptrdiff_t>(first);
      classify(classifier, {begin, begin + static_cast<std::ptrdiff_t>(std::min(kAtOnce, paths.size() - first))});
    }
  } catch (const std::exception& error) {
    std::cerr << "classify_images: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
