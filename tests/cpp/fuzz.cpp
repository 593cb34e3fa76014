// What reads bytes that others chose: a model's description and checksums, a mix of classes, image views, what a network
// says of cells, and where crops lie. Any input gives an answer or an Error. With libFuzzer (-DFER_FAST_LIBFUZZER, clang)
// or, with this file's own main, by chance: SEED SECONDS.
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>

#include "../../csrc/classifier/description.h"
#include "../../csrc/classifier/json_object.h"
#include "../../csrc/classifier/photo.h"
#include "../../csrc/classifier/resize.h"
#include "../../csrc/classifier/shares.h"
#include "../../csrc/classifier/utf8.h"
#include "../../csrc/classifier/workspace.h"
#include "../../csrc/classifier/yuv.h"
#include "../../csrc/faces/cells.h"
#include "../../csrc/faces/crops.h"

using namespace fer_fast;

static void read_model(std::string_view text) {
  try {
    parse_description(text, "fuzz");
  } catch (const Error&) {
  }
  for (const std::size_t half : {std::size_t{0}, text.size() / 2}) {
    try {
      check_bytes(read_sealed_graph(text.substr(half), "fuzz").beside, text.substr(0, half), "fuzz");
    } catch (const Error&) {
    }
    try {
      check_bytes(read_sealed_engine(text.substr(half), "fuzz").beside, text.substr(0, half), "fuzz");
    } catch (const Error&) {
    }
  }
}

// As text; files have lines of it, or JSON.
static void read_shares(std::string_view text) {
  if (is_utf8(text)) members_in(text);
  try {
    shares_of(std::string(text) + "=", {"a", "b"});
  } catch (const Error&) {
  }
}

static void resize(const uint8_t* data, std::size_t size) {
  int64_t numbers[4];
  if (size < sizeof(numbers) + 2) return;
  std::memcpy(numbers, data, sizeof(numbers));
  const uint8_t narrow = data[sizeof(numbers)], kind = data[sizeof(numbers) + 1];
  if (narrow & 1) {  // else hardly a number is a small one
    for (int64_t& number : numbers) number = static_cast<int16_t>(number) % 200;
  }
  // An allocation of its own, so that a byte too far is seen.
  const std::vector<uint8_t> pixels(data + sizeof(numbers) + 2, data + size);
  ImageView image;
  image.data = pixels.data();
  image.size = pixels.size();
  image.width = numbers[0];
  image.height = numbers[1];
  image.stride = numbers[2];
  image.format = static_cast<PixelFormat>(kind % 8);
  image.matrix = static_cast<YuvMatrix>(1 + kind / 8 % 2);
  image.range = static_cast<YuvRange>(kind / 16 % 3);
  try {
    check_image(image, 0);
  } catch (const Error&) {
    return;
  }
  const int64_t side = 1 + (narrow >> 2);
  std::vector<uint8_t> square(static_cast<std::size_t>(side * side * 3));
  Workspace space;
  resize_to(RgbView(image, space).view(), side, side, square.data(), side * 3, space);
  const Seen seen = seen_of(image, 32 + side, 32);
  std::vector<uint8_t> canvas(static_cast<std::size_t>(seen.bytes()));
  see(image, seen, canvas.data(), space);
  try {
    const auto place = static_cast<float>(numbers[3]), wide = static_cast<float>(kind);
    const Cut cut = cut_of(image, Box{place, place / 2, wide, wide + 1}, 0, side);
    cut_faces(&cut, 1, side, square.data(), space);
  } catch (const Error&) {
  }
}

// Numbers of all kinds, as the bits that they are.
static void find_and_crop(const uint8_t* data, std::size_t size) {
  constexpr int64_t kHeight = 32, kWidth = 64;
  std::vector<float> cells(static_cast<std::size_t>(cell_count(kHeight, kWidth) * kFaceColumns));
  std::memcpy(cells.data(), data, std::min(size, cells.size() * sizeof(float)));
  for (std::size_t i = 0; i < cells.size(); i += kFaceColumns) {
    if (size % 2 == 0) cells[i] = 1;  // else hardly a cell is a face
  }
  const std::vector<float> faces = faces_in(cells.data(), kHeight, kWidth, 0.5, kFaceOverlap);
  const std::vector<uint8_t> pixels(kHeight * kWidth);
  Cropper cropper;
  uint8_t crop[9 * 9 * 3];
  for (std::size_t i = 0; i < faces.size(); i += kFaceColumns) {
    for (const Framing framing : {Framing::kPoints, Framing::kBox, Framing::kLevel}) {
      double matrix[6];
      crop_matrix(&faces[i], framing, 9, matrix);
      if (!has_box(&faces[i]) || !crop_fits(matrix, 9)) std::abort();  // whatever is found can be cropped
      cropper.cut({pixels.data(), kWidth, kHeight, kWidth, 1}, matrix, 9, crop);
    }
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  switch (data[0] % 4) {
    case 0: resize(data + 1, size - 1); break;
    case 2: find_and_crop(data + 1, size - 1); break;
    case 3: read_shares({reinterpret_cast<const char*>(data + 1), size - 1}); break;
    default: read_model({reinterpret_cast<const char*>(data + 1), size - 1});
  }
  return 0;
}

#ifndef FER_FAST_LIBFUZZER

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::mt19937_64 random(std::strtoull(argv[1], nullptr, 10));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(argv[2]));
  const std::string known =
      "\1<?fer_fast\nformat 1\nversion 0\nmodel 0\nprecision fp32\nimage_size 9\nbatch_size 9\nclass a\nclass b\n"
      "graph 0 00000000\nweights 0 00000000\nengine 0 00000000\ndescription 166 00000000\n?>\n";
  const std::string mix = "\3{\"a\": 1.5e-3, \"\\u0062\": [0, {\"c\": null}], \"d\": -0}";
  std::size_t inputs = 0;
  for (; std::chrono::steady_clock::now() < end; ++inputs) {
    std::string input = inputs % 2 == 0 ? known : mix;
    if (random() % 2 == 0) {
      input.resize(random() % 3000);
      for (char& byte : input) byte = static_cast<char>(random());
    }
    for (auto changes = random() % 8; changes > 0 && !input.empty(); --changes) {
      const std::size_t place = random() % input.size();
      switch (random() % 4) {
        case 0: input[place] = static_cast<char>(random()); break;
        case 1: input.erase(place, random() % 20); break;
        case 2: input.insert(place, input.substr(random() % input.size(), random() % 40)); break;
        default: input.resize(place);
      }
    }
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
  }
  std::cout << inputs << " inputs\n";
  return inputs > 100 ? 0 : 1;
}

#endif
