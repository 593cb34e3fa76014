#include "files.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "fer_fast/image.h"

namespace fer_fast {
namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw Error(ErrorCode::kModelNotFound, "the model's file '" + path + "' cannot be read: " + why);
}

}  // namespace

uint64_t file_size(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) refuse(path, error ? error.message() : "No such file or directory");
  if (!std::filesystem::is_regular_file(status)) refuse(path, "it is no regular file");  // a pipe would never end
  const uint64_t size = std::filesystem::file_size(path, error);
  if (error) refuse(path, error.message());
  return size;
}

std::string read_file(const std::string& path, uint64_t most) {
  const uint64_t size = file_size(path);
  if (size > most) refuse(path, "it has " + std::to_string(size) + " bytes, and no more than " + std::to_string(most) + " can be");
  std::string bytes(size, '\0');
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  if (!file) refuse(path, std::strerror(errno));
  const std::size_t read = std::fread(bytes.data(), 1, bytes.size(), file.get());
  if (std::ferror(file.get())) refuse(path, std::strerror(errno));
  bytes.resize(read);  // it may have become shorter
  return bytes;
}

}  // namespace fer_fast
