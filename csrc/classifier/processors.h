// How many processors this process may use, by affinity and a container's quota: the rule of fer_fast/machine/processors.py.
#pragma once

#include <string>

namespace fer_fast {

// Processors that this process may run on, whatever share of their time it gets.
int allowed_processors();

// The processors' worth of time that control groups grant this process, rounded up; 0 without a limit. `root` holds proc
// and sys.
int cpu_quota(const std::string& root);

// The smaller of both: threads that suffice. At least 1.
int usable_processors();

}  // namespace fer_fast
