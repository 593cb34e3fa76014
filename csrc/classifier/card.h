// CUDA's runtime, as much of it as an engine on a card takes: what is made of it ends by itself, what fails is an Error.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <type_traits>

#include "workspace.h"

namespace fer_fast {

// Throws Error of a status that is no success; `doing` is what was tried.
void check(cudaError_t status, const std::string& doing);

// A card's context is current. The thread's own is again at the end, or none: naming its card would make one there.
class OnCard {
 public:
  explicit OnCard(int card);
  OnCard(const OnCard&) = delete;
  ~OnCard();

 private:
  CUcontext before_ = nullptr;
};

// Ends what CUDA made by the function that it has for that. Only on its card.
template <auto end>
struct Ends {
  template <typename Thing>
  void operator()(Thing* thing) const {
    static_cast<void>(end(thing));
  }
};
template <typename Handle, auto end>
using CardOwned = std::unique_ptr<std::remove_pointer_t<Handle>, Ends<end>>;

using CardMemory = std::unique_ptr<void, Ends<cudaFree>>;
using PinnedMemory = std::unique_ptr<void, Ends<cudaFreeHost>>;
using Stream = CardOwned<cudaStream_t, cudaStreamDestroy>;
using Event = CardOwned<cudaEvent_t, cudaEventDestroy>;
using Graph = CardOwned<cudaGraphExec_t, cudaGraphExecDestroy>;

CardMemory card_memory(std::size_t bytes);
// Of the host, which the card reads and writes by itself.
PinnedMemory pinned_memory(std::size_t bytes);
// The same, freed on that card from wherever.
Buffer pinned_buffer(int card, std::size_t bytes);
Stream make_stream();
// That is waited for alone, not timed.
Event make_event();

// The card that is asked for, if it is there; `model` is for the message. Throws Error.
int present_card(const std::string& model, const std::string& asked);

// Throws Error if what is there is not the card's; `name` is the argument's.
void check_on_card(const void* memory, int card, const std::string& name);

// Throws Error of a stream whose work goes into a graph of the caller's.
void check_is_not_captured(cudaStream_t stream);

}  // namespace fer_fast
