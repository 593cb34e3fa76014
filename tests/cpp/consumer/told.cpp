// FINDER MODEL: what on_call is told of each call, on which thread, and what becomes of what it throws.
#include <fer_fast/classifier.h>

#include <map>
#include <mutex>
#include <thread>

#include "expect.h"

using fer_fast::Call;
using fer_fast::Classifier;
using fer_fast::ErrorCode;
using fer_fast::ImageView;

namespace {

struct Last {
  std::string what, error;
  std::size_t images, faces;
  double preprocess_ms, infer_ms, call_ms;
};

class Log {
 public:
  void add(const Call& call) {
    const std::lock_guard lock(mutex_);
    const std::string error = call.error == nullptr ? "" : call.error;
    last_ = {call.what, error, call.images, call.faces, call.preprocess_ms, call.infer_ms, call.call_ms};
    ++calls_[std::this_thread::get_id()];
  }
  const Last& last() const { return last_; }
  int calls_here() { return calls_[std::this_thread::get_id()]; }

  // `error` is a part of what was said; empty of a call that ended well.
  void require_last(const std::string& what, std::size_t images, std::size_t faces, const std::string& error) const {
    require(last_.what == what && last_.images == images && last_.faces == faces);
    require(error.empty() ? last_.error.empty() : last_.error.find(error) != std::string::npos);
    require(last_.preprocess_ms >= 0 && last_.infer_ms >= 0 && last_.call_ms > 0);
  }

 private:
  std::mutex mutex_;
  Last last_;
  std::map<std::thread::id, int> calls_;
};

ImageView view_of(const std::vector<uint8_t>& pixels, int64_t width, int64_t height) {
  ImageView view;
  view.data = pixels.data(), view.size = pixels.size(), view.width = width, view.height = height;
  return view;
}

void each_call_is_told(const char* finder_file, const char* model, const ImageView& face) {
  Log log;
  fer_fast::Options options;
  options.on_call = [&](const Call& call) { log.add(call); };
  expect(ErrorCode::kModelNotFound, "nowhere.xml", [&] { Classifier("nowhere.xml", options); });
  log.require_last("open", 0, 0, "'nowhere.xml' cannot be read");
  const Classifier classifier(model, options);
  log.require_last("open", 0, 0, "");

  classifier.classify({face, face, face});
  log.require_last("classify", 3, 3, "");
  classifier.classify(face);
  log.require_last("classify", 1, 1, "");
  const Last& one = log.last();  // on this thread alone
  require(one.preprocess_ms > 0 && one.infer_ms > 0 && one.preprocess_ms + one.infer_ms <= one.call_ms);
  classifier.classify(face, {{2, 2, 9, 9}, {3, 3, 9, 9}});
  log.require_last("classify", 1, 2, "");
  classifier.classify(std::vector<ImageView>{});
  log.require_last("classify", 0, 0, "");
  ImageView wrong = face;
  wrong.size -= 1;
  expect(ErrorCode::kInvalidArgument, "size must be", [&] { classifier.classify({face, wrong}); });
  log.require_last("classify", 2, 0, "image 1: size must be at least");

  fer_fast::FinderOptions finder_options;
  Log finders;
  finder_options.on_call = [&](const Call& call) { finders.add(call); };
  const fer_fast::FaceFinder finder(finder_file, finder_options);
  finders.require_last("open", 0, 0, "");
  finder.find({face, face});
  finders.require_last("find", 2, 0, "");
  require(finders.last().preprocess_ms > 0 && finders.last().infer_ms > 0);
  classifier.classify_faces(finder, face);
  finders.require_last("find", 1, 0, "");
  log.require_last("classify_faces", 1, 0, "");

  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, calls = 3 + i] {
      for (int call = 0; call < calls; ++call) classifier.classify({face, face, face, face});
      require(log.calls_here() == calls);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

void what_is_thrown_is_the_calls_error(const char* model, const ImageView& face) {
  fer_fast::Options options;
  std::function<void(const Call&)> doing = [](const Call&) {};
  options.on_call = [&](const Call& call) { doing(call); };
  const Classifier classifier(model, options);
  doing = [](const Call&) { throw std::runtime_error("tired"); };
  expect(ErrorCode::kInvalidArgument, "on_call must not throw, and did: tired", [&] { classifier.classify(face); });
  ImageView wrong = face;
  wrong.height = 0;
  expect(ErrorCode::kInvalidArgument, "width and height must be 1 to 65536", [&] { classifier.classify(wrong); });
  expect(ErrorCode::kInvalidArgument, "and did: tired", [&] { Classifier(model, options); });
  doing = [](const Call&) { throw 7; };
  expect(ErrorCode::kInvalidArgument, "on_call must not throw, and did", [&] { classifier.classify(face); });
  int inner = 0;
  doing = [&](const Call&) {  // no lock is held
    if (++inner == 1) classifier.classify(face);
  };
  classifier.classify(face);
  require(inner == 2);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::vector<uint8_t> pixels(60 * 40 * 3, 99);
  const ImageView face = view_of(pixels, 60, 40);
  each_call_is_told(argv[1], argv[2], face);
  what_is_thrown_is_the_calls_error(argv[2], face);
  return failures == 0 ? 0 : 1;
}
