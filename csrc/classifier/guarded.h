// What may throw anything comes in, what throws Error alone goes out.
#pragma once

#include <exception>
#include <new>

#include "engine.h"

namespace fer_fast {

// Made while there is memory for its text; a copy shares it.
extern const Error no_memory;

// Every exception becomes an Error.
template <typename Do>
auto guarded(Do&& doing) {
  try {
    return doing();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw no_memory;
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kEngineFailed, one_line(error.what()));
  } catch (...) {
    throw Error(ErrorCode::kEngineFailed, "an exception of no known kind");
  }
}

}  // namespace fer_fast
