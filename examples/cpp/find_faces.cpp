// find_faces FINDER MODEL PHOTO... [--prior PRIOR]: photos come in, a line of csv for each face in them goes to standard
// output.
#include <fer_fast/classifier.h>

#include <algorithm>
#include <iostream>

#include "arguments.h"
#include "csv.h"
#include "decode.h"

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const std::string prior = taken("--prior", arguments).value_or("train");
  if (arguments.size() < 3) {
    std::cerr << "usage: find_faces FINDER MODEL PHOTO... [--prior PRIOR]\n";
    return 2;
  }
  try {
    const fer_fast::FaceFinder finder(arguments[0]);
    const fer_fast::Classifier classifier(arguments[1], {}, prior);
    std::cout << "photo,x,y,width,height,score,label,confidence\n";
    bool all = true;
    for (std::size_t i = 2; i < arguments.size(); ++i) {
      const Image photo = decode(arguments[i]);
      if (!photo.pixels || std::max(photo.view.width, photo.view.height) > fer_fast::kMaxImageSide) {
        std::cerr << "find_faces: " << arguments[i] << " cannot be decoded\n";
        all = false;
        continue;
      }
      for (const auto& [face, prediction] : classifier.classify_faces(finder, photo.view)) {
        std::cout << quoted(arguments[i]) << ',' << face.x << ',' << face.y << ',' << face.width << ',' << face.height << ','
                  << face.score << ',' << quoted(prediction.label) << ',' << prediction.confidence << '\n';
      }
    }
    return all ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "find_faces: " << error.what() << '\n';
    return 1;
  }
}
