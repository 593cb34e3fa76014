// Faces come in, one after the other; models of one thread each, one a processor, take them from a queue: what is written in
// place of a library, and what others' replicas do. Against it calls are measured.
#pragma once

#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <openvino/openvino.hpp>
#include <thread>
#include <vector>

// Compiles the model, each time anew.
class Compile {
 public:
  Compile(ov::Core& core, const std::string& model, bool fp32) : core_(core), model_(core.read_model(model)) {
    const auto there = core.get_property("CPU", ov::device::capabilities);
    const bool bf16 = !fp32 && std::find(there.begin(), there.end(), "BF16") != there.end();
    precision_ = bf16 ? ov::element::bf16 : ov::element::f32;
  }

  template <typename... Properties>
  ov::CompiledModel operator()(const Properties&... properties) const {
    return core_.compile_model(model_, "CPU", ov::hint::inference_precision(precision_), properties...);
  }

 private:
  ov::Core& core_;
  std::shared_ptr<ov::Model> model_;
  ov::element::Type precision_;
};

// One face comes in, of the model's own size; OpenVINO takes no const.
inline void set_tensors(ov::InferRequest& request, const uint8_t* pixels, std::size_t side, float* row, std::size_t classes) {
  request.set_input_tensor(ov::Tensor(ov::element::u8, {1, side, side, 3}, const_cast<uint8_t*>(pixels)));
  request.set_output_tensor(ov::Tensor(ov::element::f32, {1, classes}, row));
}

class Replicas {
 public:
  Replicas(const Compile& compile, std::size_t side, std::size_t classes) : side_(side), classes_(classes) {
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof(allowed), &allowed);
    for (int i = 0; i < CPU_COUNT(&allowed); ++i) {
      // Not pinned: each would be to the same processor.
      models_.push_back(compile(ov::num_streams(1), ov::inference_num_threads(1), ov::hint::enable_cpu_pinning(false)));
    }
    for (ov::CompiledModel& model : models_) threads_.emplace_back([&] { work(model.create_infer_request()); });
  }
  ~Replicas() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    came_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  // Waits for the answer.
  void ask(const uint8_t* pixels, float* row) {
    std::promise<void> done;
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back({pixels, row, &done});
    }
    came_.notify_one();
    done.get_future().get();
  }

 private:
  struct Face {
    const uint8_t* pixels;
    float* row;
    std::promise<void>* done;
  };

  void work(ov::InferRequest request) {
    for (;;) {
      std::unique_lock lock(mutex_);
      came_.wait(lock, [&] { return closed_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      const Face face = waiting_.front();
      waiting_.pop_front();
      lock.unlock();
      set_tensors(request, face.pixels, side_, face.row, classes_);
      request.infer();
      face.done->set_value();
    }
  }

  const std::size_t side_, classes_;
  std::vector<ov::CompiledModel> models_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<Face> waiting_;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};
