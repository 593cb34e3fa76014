// find_faces FINDER MODEL PHOTO...: photos come in, a line of csv for each face in them goes to standard output.
#include <fer_fast/classifier.h>

#include <algorithm>
#include <iostream>

#include "csv.h"
#include "decode.h"

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: find_faces FINDER MODEL PHOTO...\n";
    return 2;
  }
  try {
    const fer_fast::FaceFinder finder(argv[1]);
    const fer_fast::Classifier classifier(argv[2]);
    std::cout << "photo,x,y,width,height,score,label,confidence\n";
    bool all = true;
    for (int i = 3; i < argc; ++i) {
      const Image photo = decode(argv[i]);
      if (!photo.pixels || std::max(photo.view.width, photo.view.height) > fer_fast::kMaxImageSide) {
        std::cerr << "find_faces: " << argv[i] << " cannot be decoded\n";
        all = false;
        continue;
      }
      for (const auto& [face, prediction] : classifier.classify_faces(finder, photo.view)) {
        std::cout << quoted(argv[i]) << ',' << face.x << ',' << face.y << ',' << face.width << ',' << face.height << ','
                  << face.score << ',' << quoted(prediction.label) << ',' << prediction.confidence << '\n';
      }
    }
    return all ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "find_faces: " << error.what() << '\n';
    return 1;
  }
}
