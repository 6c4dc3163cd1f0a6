// Graphs of C++ operators on a GPU: each on a stream of its own, with slow kernels, and no more
// under way than is allowed.
#include "gpu_fixture.hpp"

#include <penstock/memory.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace ps = penstock;
using namespace penstock::test;

namespace {

// A stream that Penstock is not told of. What is written there is kept until the end: nobody else
// may have the memory before.
struct Unnamed {
  ~Unnamed() { stream.sync(); }
  std::vector<ps::Tensor> kept;
  ps::Stream stream{ps::Device::cuda()};
};

// Fills tensors late: on its own stream, or on the unnamed one if there is one.
struct Source : ps::Operator {
  explicit Source(Unnamed* u) : unnamed(u) {}
  void setup(ps::Spec& spec) override { spec.output("out").type<ps::Tensor>(); }
  void compute(ps::Inputs&, ps::Outputs& outputs, ps::Context& context) override {
    const ps::Stream stream = context.stream();
    ps::Tensor tensor = new_tensor(stream);
    if (unnamed == nullptr) {
      fill(stream, tensor, number);
    } else {
      unnamed->stream.wait(tensor);
      spin_fill(unnamed->stream.handle(), numbers_of(tensor), number, kNumbers, kSlow);
      unnamed->kept.push_back(tensor);
    }
    ++number;
    outputs.emit(std::move(tensor));
  }

  Unnamed* unnamed;
  int number = 0;
};

struct Copy : ps::Operator {
  void setup(ps::Spec& spec) override {
    spec.input("in").type<ps::Tensor>();
    spec.output("out").type<ps::Tensor>();
  }
  void compute(ps::Inputs& inputs, ps::Outputs& outputs, ps::Context&) override {
    outputs.emit(inputs.receive<ps::Tensor>()->copy());
  }
};

// `seen` and `wrong` are the test's: they outlive the run, which this operator does not.
struct Sink : ps::Operator {
  Sink(std::atomic<int>* s, std::shared_ptr<Reader> r, long long c)
      : seen(s), reader(std::move(r)), cycles(c) {}
  void setup(ps::Spec& spec) override { spec.input("in").type<ps::Tensor>(); }
  void compute(ps::Inputs& inputs, ps::Outputs&, ps::Context& context) override {
    const auto tensor = inputs.receive<ps::Tensor>();
    reader->look_on(context.stream(), *tensor, seen->fetch_add(1), cycles);
  }

  std::atomic<int>* seen;
  std::shared_ptr<Reader> reader;
  long long cycles;
};

// Launches on its own stream and says nothing: what it makes, and a scratch tensor that it drops.
struct SilentSource : ps::Operator {
  void setup(ps::Spec& spec) override { spec.output("out").type<ps::Tensor>(); }
  void compute(ps::Inputs&, ps::Outputs& outputs, ps::Context& context) override {
    const ps::Stream stream = context.stream();
    const ps::Tensor scratch = new_tensor(stream);
    ps::Tensor made = new_tensor(stream);
    spin_fill(stream.handle(), numbers_of(made), number++, kNumbers, kSlow);
    spin_fill(stream.handle(), numbers_of(scratch), -1, kNumbers, 0);
    outputs.emit(std::move(made));
  }
  int number = 0;
};

struct SilentSink : ps::Operator {
  SilentSink(std::atomic<int>* s, int* w) : seen(s), wrong(w) {}
  void setup(ps::Spec& spec) override { spec.input("in").type<ps::Tensor>(); }
  void compute(ps::Inputs& inputs, ps::Outputs&, ps::Context& context) override {
    const auto tensor = inputs.receive<ps::Tensor>();
    spin_check(context.stream().handle(), numbers_of(*tensor), seen->fetch_add(1), kNumbers, kSlow,
               wrong);
  }
  std::atomic<int>* seen;
  int* wrong;
};

class SilentApp : public ps::Application {
 public:
  explicit SilentApp(int frames) : frames_(frames) { wrong.sync(); }
  void compose() override {
    const auto source = make_operator<SilentSource>({.name = "source", .count = frames_});
    add_flow(source, make_operator<SilentSink>("sink", &seen, numbers_of(wrong)));
  }
  std::atomic<int> seen{0};
  ps::Tensor wrong = ps::Tensor::zeros({1}, ps::i32, {}, ps::Device::cuda());

 private:
  int frames_;
};

class App : public ps::Application {
 public:
  explicit App(int frames, Unnamed* unnamed = nullptr, bool sync_context = false,
               long long reader_cycles = 0)
      : frames_(frames),
        unnamed_(unnamed),
        sync_context_(sync_context),
        reader_cycles_(reader_cycles) {}
  void compose() override {
    const auto source = make_operator<Source>(
        {.name = "source", .count = frames_, .sync_context = sync_context_}, unnamed_);
    const auto copy = make_operator<Copy>("copy");
    const auto sink = make_operator<Sink>("sink", &seen, reader, reader_cycles_);
    add_flow(source, copy);
    add_flow(copy, sink);
  }

  std::atomic<int> seen{0};
  std::shared_ptr<Reader> reader = std::make_shared<Reader>();

 private:
  int frames_;
  Unnamed* unnamed_;
  bool sync_context_;
  long long reader_cycles_;
};

void check_run(App& app, int frames, ps::StreamPolicy streams) {
  ps::RunOptions options;
  options.streams = streams;
  options.device = ps::Device::cuda();
  app.run(options);
  CHECK(app.seen == frames);
  CHECK(app.reader->wrong() == 0);
}

}  // namespace

TEST_CASE("gpu: a chain of C++ operators is in order however it shares streams [gpu] [memcheck]") {
  if (!has_gpu()) return;
  for (const auto streams :
       {ps::StreamPolicy::per_operator, ps::StreamPolicy::chain, ps::StreamPolicy::single}) {
    App app(200);
    check_run(app, 200, streams);
  }
}

TEST_CASE("gpu: what operators launch on their own streams is in order without a word [gpu]") {
  if (!has_gpu()) return;
  for (const auto streams : {ps::StreamPolicy::per_operator, ps::StreamPolicy::chain}) {
    SilentApp app(200);
    ps::RunOptions options;
    options.streams = streams;
    options.device = ps::Device::cuda();
    app.run(options);
    CHECK(app.seen == 200);
    const ps::Tensor found = app.wrong.to(ps::Device::cpu());
    CHECK(*numbers_of(found) == 0);
  }
}

TEST_CASE("gpu: sync_context waits for a stream that nobody names [gpu]") {
  if (!has_gpu()) return;
  Unnamed unnamed;
  App app(200, &unnamed, true);
  check_run(app, 200, ps::StreamPolicy::per_operator);
}

TEST_CASE("gpu: without it the stream that nobody names is not waited for [gpu]") {
  if (!has_gpu()) return;
  Unnamed unnamed;
  App app(200, &unnamed);
  ps::RunOptions options;
  options.streams = ps::StreamPolicy::per_operator;
  options.device = ps::Device::cuda();
  app.run(options);
  CHECK(app.seen == 200);
  CHECK(app.reader->wrong() > 0);
}

TEST_CASE("gpu: what is in flight is bounded though the sink is slow [gpu]") {
  if (!has_gpu()) return;
  ps::memory::clear(ps::Device::cuda());
  ps::memory::reset_peak(ps::Device::cuda());
  App app(500, nullptr, false, 2 * kSlow);
  check_run(app, 500, ps::StreamPolicy::per_operator);
  // Far fewer than 500 frames: what the edges hold and three operators have under way.
  CHECK(ps::memory::stats(ps::Device::cuda()).bytes_peak < 64 * kNumbers * 4);
}
