#include <penstock/application.hpp>

#include "base/throw.hpp"
#include "base/time.hpp"
#include "exec/pool.hpp"
#include "graph/operator_body.hpp"
#include "runtime/public_run.hpp"

#include <mutex>

namespace penstock {

// Shared with the end of a run, which may come after the application is gone.
struct Application::State {
  std::mutex mutex;
  std::shared_ptr<graph::Graph> composing;  // while compose() runs
  bool is_running = false;
  std::shared_ptr<runtime::Run> run;
  RunStats last;
};

namespace {

// Composes one graph at a time.
template <class State>
std::shared_ptr<graph::Graph> composed(Application& application, State& state) {
  const auto graph = std::make_shared<graph::Graph>();
  state.composing = graph;
  try {
    application.compose();
  } catch (...) {
    state.composing.reset();
    throw;
  }
  state.composing.reset();
  return graph;
}

template <class State>
void begin(State& state, const char* call) {
  const std::lock_guard guard(state.mutex);
  if (state.is_running) {
    throw_error<GraphError>("application: {}: it runs already; stop() it or wait for its end",
                            call);
  }
  state.is_running = true;
}

template <class State>
void end(State& state) {
  const std::lock_guard guard(state.mutex);
  state.is_running = false;
  if (!state.run) return;
  state.last = runtime::to_public(state.run->stats());
  state.run.reset();
}

}  // namespace

Application::Application() : state_(std::make_shared<State>()) {}

Application::~Application() {
  std::shared_ptr<runtime::Run> run;
  {
    const std::lock_guard guard(state_->mutex);
    run = state_->run;
  }
  if (!run) return;
  try {
    run->stop();
    static_cast<void>(run->wait(kNever));
  } catch (...) {
    // It comes out of the future.
  }
}

Application::Node Application::add(detail::OperatorMaker maker, OperatorOptions options,
                                   std::vector<Setting> settings) {
  if (!state_->composing) throw_error<GraphError>("application: make_operator is for compose()");
  return Node(state_->composing->add(
      graph::make_node(std::move(maker), std::move(options), std::move(settings))));
}

void Application::add_flow(
    Node from, Node to,
    std::initializer_list<std::pair<std::string_view, std::string_view>> ports) {
  if (!state_->composing) throw_error<GraphError>("application: add_flow is for compose()");
  if (ports.size() == 0) state_->composing->connect(from.index_, "", to.index_, "");
  for (const auto& [output, input] : ports) {
    state_->composing->connect(from.index_, output, to.index_, input);
  }
}

std::future<RunStats> Application::run_async(const RunOptions& options) {
  begin(*state_, "run");
  const auto promise = std::make_shared<std::promise<RunStats>>();
  std::future<RunStats> future = promise->get_future();
  std::shared_ptr<runtime::Run> run;
  try {
    run = runtime::Run::start(composed(*this, *state_), runtime::from_public(options));
  } catch (...) {
    end(*state_);
    throw;
  }
  {
    const std::lock_guard guard(state_->mutex);
    state_->run = run;
  }
  // The run holds what is called, and is not held by it.
  run->on_end([state = state_, promise, weak = std::weak_ptr(run)] {
    const auto ended = weak.lock();
    end(*state);
    const std::exception_ptr error = ended ? ended->failure().error : nullptr;
    if (error) {
      promise->set_exception(error);
    } else {
      const std::lock_guard guard(state->mutex);
      promise->set_value(state->last);
    }
  });
  return future;
}

RunStats Application::run(const RunOptions& options) {
  std::future<RunStats> future = run_async(options);
  exec::Pool::before_blocking();
  return future.get();
}

void Application::stop() {
  std::shared_ptr<runtime::Run> run;
  {
    const std::lock_guard guard(state_->mutex);
    run = state_->run;
  }
  if (run) run->stop();
}

RunStats Application::stats() const {
  const std::lock_guard guard(state_->mutex);
  return state_->run ? runtime::to_public(state_->run->stats()) : state_->last;
}

std::string Application::plan() {
  begin(*state_, "plan");
  std::string text;
  try {
    text = graph::compile(*composed(*this, *state_)).text();
  } catch (...) {
    end(*state_);
    throw;
  }
  end(*state_);
  return text;
}

}  // namespace penstock
