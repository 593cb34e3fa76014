// The folders where OpenVINO may lie come in, the functions of its C interface go out.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "fer_fast/image.h"
#include "openvino_c.h"

namespace fer_fast {
namespace {

constexpr char kFolder[] = "FER_FAST_OPENVINO_DIR";
constexpr char kName[] = "libopenvino_c.so";
constexpr int kLeastYear = 2025, kLeastRelease = 2;
constexpr char kNeeded[] = "2025.2 or later";

[[noreturn]] void refuse(const std::string& why) { throw Error(ErrorCode::kEngineMissing, why); }

// Where the loader looks for what this library needs: in the folders of LD_LIBRARY_PATH, of this library's run path
// (CMakeLists.txt has it) and of the system, in this order.
std::vector<std::string> searched_folders() {
  Dl_info self;
  void* const opened = dladdr(kFolder, &self) != 0 ? dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : nullptr;
  const std::unique_ptr<void, int (*)(void*)> library(opened != nullptr ? opened : dlopen(nullptr, RTLD_LAZY), dlclose);
  Dl_serinfo size;
  if (dlinfo(library.get(), RTLD_DI_SERINFOSIZE, &size) != 0) return {};
  std::vector<std::max_align_t> room(size.dls_size / sizeof(std::max_align_t) + 1);
  auto* const found = reinterpret_cast<Dl_serinfo*>(room.data());
  *found = size;
  if (dlinfo(library.get(), RTLD_DI_SERINFO, found) != 0) return {};
  const Dl_serpath* const paths = found->dls_serpath;
  std::vector<std::string> folders;
  for (unsigned int i = 0; i < found->dls_cnt; ++i) folders.emplace_back(paths[i].dls_name);
  return folders;
}

// 2641 of libopenvino_c.so.2641, and of libopenvino_c.so.2026.4.1; 0 of the bare name, -1 of another file's.
int number_of(const std::string& name) {
  if (name.rfind(kName, 0) != 0) return -1;
  int number = 0;
  for (const char letter : name.substr(sizeof(kName) - 1)) {
    if (letter == '.') continue;
    if (letter < '0' || letter > '9') return -1;
    number = (10 * number + (letter - '0')) % 10000;
  }
  return number;
}

// The path of the newest in a folder; empty if there is none.
std::string newest_in(const std::string& folder) {
  std::string newest;
  int highest = -1;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  for (const std::filesystem::directory_iterator end; !error && entry != end; entry.increment(error)) {
    const int number = number_of(entry->path().filename().string());
    if (number <= highest) continue;
    highest = number;
    newest = entry->path().string();
  }
  return newest;
}

[[noreturn]] void refuse_folders(const std::vector<std::string>& folders, const std::string& said) {
  std::string places;
  for (const std::string& folder : folders) places += (places.empty() ? "'" : ", '") + folder + "'";
  refuse(std::string("OpenVINO ") + kNeeded + " is not there: no " + kName + " in " + places + said +
         "; pip install openvino, ship it beside libfer_fast, or name its folder in " + kFolder);
}

std::string loader_error() {
  const char* const text = dlerror();
  return text != nullptr ? text : "no reason";
}

// The libopenvino_c of the OpenVINO that the program itself is linked with; empty if it is with none. The functions of
// a second one would be mixed with those of the first, whose names every library that is loaded later finds.
std::string linked() {
  void* const function = dlsym(RTLD_DEFAULT, "get_openvino_version");
  Dl_info there;
  if (function == nullptr || dladdr(function, &there) == 0) return "";
  const std::filesystem::path file(there.dli_fname);
  const std::string name = file.filename().string(), plain = "libopenvino";
  if (name.rfind(plain + ".so", 0) != 0) return "";
  return (file.parent_path() / (plain + "_c" + name.substr(plain.size()))).string();
}

std::string folder_of(const std::string& file) { return std::filesystem::path(file).parent_path().string(); }

void check_same(const std::string& asked, const std::string& file) {
  std::error_code error;
  if (std::filesystem::equivalent(asked, folder_of(file), error)) return;
  refuse(std::string(kFolder) + " names '" + asked + "', and this program is linked with the OpenVINO in '" +
         folder_of(file) + "': it can have one");
}

// The first folder that has one decides.
std::string found_file() {
  const char* const named = secure_getenv(kFolder);
  const std::string asked = named != nullptr ? named : "", own = linked();
  if (!own.empty()) {
    if (!asked.empty()) check_same(asked, own);
    return own;
  }
  const std::vector<std::string> folders = asked.empty() ? searched_folders() : std::vector<std::string>{asked};
  for (const std::string& folder : folders) {
    const std::string file = newest_in(folder);
    if (!file.empty()) return file;
  }
  if (!asked.empty()) refuse_folders(folders, std::string(", which ") + kFolder + " names");
  // The loader's cache has more folders; it is asked for the bare name alone.
  if (dlopen(kName, RTLD_NOW | RTLD_LOCAL) == nullptr) refuse_folders(folders, " (" + loader_error() + ")");
  return kName;
}

struct Opened {
  void* handle;
  std::string file;
};

// What was loaded stays: OpenVINO's threads may outlive any use.
Opened open_library() {
  const std::string file = found_file();
  void* const handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) refuse("OpenVINO cannot be loaded from '" + folder_of(file) + "': " + loader_error());
  return {handle, file};
}

template <typename Function>
void find(const Opened& opened, const std::string& version, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(opened.handle, name));
  if (function != nullptr) return;
  refuse("'" + opened.file + "' is OpenVINO " + version + ", which has no " + name + ": " + kNeeded + " is needed");
}

void tell_version(OpenVino& found) {
  ov_version version{};
  if (found.get_openvino_version(&version) != 0) return;
  const std::unique_ptr<ov_version, void (*)(ov_version*)> freed(&version, found.version_free);
  if (version.build_number != nullptr) found.version = version.build_number;
}

// OpenVINO counts the processors there; where it can read neither, it reads on for ever.
void check_processors_are_told() {
  constexpr char kCpuinfo[] = "/proc/cpuinfo", kFirst[] = "/sys/devices/system/cpu/cpu0";
  std::error_code error;
  if (std::filesystem::exists(kCpuinfo, error) || std::filesystem::exists(kFirst, error)) return;
  refuse(std::string("OpenVINO needs ") + kCpuinfo + " or " + kFirst + ", and neither is there: mount /proc");
}

OpenVino load() {
  check_processors_are_told();
  const Opened opened = open_library();
  OpenVino found;
  find(opened, found.version, "ov_get_openvino_version", found.get_openvino_version);
  find(opened, found.version, "ov_version_free", found.version_free);
  tell_version(found);
  int year = 0, release = 0;
  const bool told = std::sscanf(found.version.c_str(), "%d.%d", &year, &release) == 2;  // a build of one's own may not
  if (told && (year < kLeastYear || (year == kLeastYear && release < kLeastRelease))) {
    refuse("'" + opened.file + "' is OpenVINO " + found.version + ": " + kNeeded + " is needed");
  }
#define FER_FAST_OPENVINO_FIND(result, name, arguments) find(opened, found.version, "ov_" #name, found.name);
  FER_FAST_OPENVINO_FUNCTIONS(FER_FAST_OPENVINO_FIND)
#undef FER_FAST_OPENVINO_FIND
  return found;
}

}  // namespace

const OpenVino& openvino() {
  static const OpenVino& library = *new OpenVino(load());  // never destroyed: a static classifier may close after it
  return library;
}

}  // namespace fer_fast
