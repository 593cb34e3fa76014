// Chooses the instruction set of the CPU kernel at run time: the processor and the environment come in, a kernel goes
// out.
#include <atomic>
#include <cstdlib>
#include <string>

#include "fer_fast/tokens.h"
#include "tokens_plan.h"

namespace fer_fast {
namespace {

constexpr CpuLevel kLevels[] = {CpuLevel::kAvx512, CpuLevel::kAvx2, CpuLevel::kBaseline};  // best first

CpuLevel first_level() {
  const char* wanted = std::getenv("FER_FAST_CPU_LEVEL");
  for (const CpuLevel level : kLevels) {
    if (cpu_level_supported(level) && (wanted == nullptr || std::string(wanted) == cpu_level_name(level))) return level;
  }
  throw std::invalid_argument(
      std::string("FER_FAST_CPU_LEVEL must be baseline, avx2 or avx512, and one that this processor "
                  "has; got \"") +
      wanted + "\"");
}

std::atomic<CpuLevel>& chosen_level() {
  static std::atomic<CpuLevel> level{first_level()};
  return level;
}

}  // namespace

const char* cpu_level_name(CpuLevel level) {
  switch (level) {
    case CpuLevel::kAvx512:
      return "avx512";
    case CpuLevel::kAvx2:
      return "avx2";
    default:
      return "baseline";
  }
}

bool cpu_level_supported(CpuLevel level) {
#ifdef FER_FAST_X86_LEVELS
  switch (level) {
    case CpuLevel::kAvx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    case CpuLevel::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    default:
      return true;
  }
#else
  return level == CpuLevel::kBaseline;
#endif
}

CpuLevel cpu_level() { return chosen_level().load(std::memory_order_relaxed); }

void set_cpu_level(CpuLevel level) {
  if (!cpu_level_supported(level)) {
    throw std::invalid_argument(std::string("level: must be one that this processor and build have, got ") +
                                cpu_level_name(level));
  }
  chosen_level().store(level, std::memory_order_relaxed);
}

TokenRows token_rows_kernel() {
#ifdef FER_FAST_X86_LEVELS
  switch (cpu_level()) {
    case CpuLevel::kAvx512:
      return avx512::token_rows;
    case CpuLevel::kAvx2:
      return avx2::token_rows;
    default:
      return baseline::token_rows;
  }
#else
  return baseline::token_rows;
#endif
}

}  // namespace fer_fast
