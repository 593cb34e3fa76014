#include "files.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "fer_fast/classifier.h"

namespace fer_fast {

std::string read_file(const std::string& path) {
  const auto refuse = [&](int error) {
    throw Error(ErrorCode::kModelNotFound, "the model's file '" + path + "' cannot be read: " + std::strerror(error));
  };
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) refuse(EISDIR);  // fopen takes a folder
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) refuse(errno);
  std::string bytes;
  char block[1 << 16];
  while (const std::size_t read = std::fread(block, 1, sizeof(block), file.get())) bytes.append(block, read);
  if (std::ferror(file.get())) refuse(errno);
  return bytes;
}

}  // namespace fer_fast
