// A model's calls come in pieces; its threads do them, each with a workspace that the next piece finds again.
#pragma once

#include "pool.h"
#include "workers.h"
#include "workspace.h"

namespace fer_fast {

class Crew {
 public:
  explicit Crew(int threads) : workers_(threads) {}

  // Workers::run with doing(piece, workspace).
  template <typename Do>
  void run(int64_t pieces, const Do& doing) {
    workers_.run(pieces, [&](int64_t piece) {
      Spares<Workspace>::Lease workspace(workspaces_);
      doing(piece, *workspace);
    });
  }

 private:
  Spares<Workspace> workspaces_;
  Workers workers_;
};

}  // namespace fer_fast
