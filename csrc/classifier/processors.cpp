#include "processors.h"

#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>
#include <vector>

namespace fer_fast {
namespace {

namespace fs = std::filesystem;

// Where Linux mounts its two kinds of control groups; a machine may have both, and then version 2 has no processors.
constexpr const char* kVersion2[] = {"sys/fs/cgroup", "sys/fs/cgroup/unified"};
constexpr const char* kVersion1[] = {"sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/cpuacct,cpu"};

// Empty where it is not there or not ours to read.
std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream words(text);
  return {std::istream_iterator<std::string>(words), std::istream_iterator<std::string>()};
}

// Of "max" and -1, which are no limit, 0; of what no kernel writes, too.
double number_of(const std::string& word) {
  const bool digits = word.find_first_not_of("0123456789") == std::string::npos;
  return digits && !word.empty() && word.size() < 20 ? std::stod(word) : 0;
}

// Processors' worth of time of one group, by either version's files; 0 without a limit.
double quota_of(const fs::path& group) {
  std::vector<std::string> words = words_of(text_of(group / "cpu.max"));
  if (words.empty()) words = words_of(text_of(group / "cpu.cfs_quota_us") + ' ' + text_of(group / "cpu.cfs_period_us"));
  if (words.size() != 2) return 0;
  const double quota = number_of(words[0]), period = number_of(words[1]);
  return period > 0 ? quota / period : 0;
}

// The smaller limit; 0 is none.
double smaller(double one, double other) { return one == 0 || other == 0 ? std::max(one, other) : std::min(one, other); }

// The smallest quota of a group and of the groups that it lies in. What is not there is no limit: a container may see
// its own group at the mount itself, while the path is the host's.
double quota_up_from(const fs::path& mount, fs::path group) {
  double least = 0;
  for (;; group = group.parent_path()) {
    const bool inside = std::find(group.begin(), group.end(), "..") == group.end();
    if (inside) least = smaller(least, quota_of(mount / group));
    if (group.empty()) return least;
  }
}

bool names(const std::string& controllers, const std::string& wanted) {
  std::istringstream all(controllers);
  for (std::string one; std::getline(all, one, ',');) {
    if (one == wanted) return true;
  }
  return false;
}

}  // namespace

int allowed_processors() {
#ifdef __linux__
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return CPU_COUNT(&allowed);  // else they are too many for it
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int cpu_quota(const std::string& root) {
  double least = 0;
  std::istringstream lines(text_of(fs::path(root) / "proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {  // number:controllers:path
    const std::size_t first = line.find(':'), second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path group = fs::path(line.substr(second + 1)).relative_path();
    if (controllers.empty()) {
      for (const char* mount : kVersion2) least = smaller(least, quota_up_from(fs::path(root) / mount, group));
    } else if (names(controllers, "cpu")) {
      for (const char* mount : kVersion1) least = smaller(least, quota_up_from(fs::path(root) / mount, group));
    }
  }
  return static_cast<int>(std::ceil(std::min(least, 1e9)));
}

int usable_processors() {
  const int allowed = allowed_processors(), quota = cpu_quota("/");
  return quota == 0 ? allowed : std::min(allowed, quota);
}

}  // namespace fer_fast
