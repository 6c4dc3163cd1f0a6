#include "node_options.hpp"

#include "base/throw.hpp"
#include "pybridge/body_scope.hpp"
#include "pybridge/failure.hpp"
#include "pybridge/py_message.hpp"
#include "pybridge/value.hpp"

#include <array>
#include <memory>
#include <utility>

namespace penstock::pybridge {
namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& word, nb::handle value,
                         const char* expected) {
  throw_error<GraphError>("{}: {}={} does not fit: {}", where, word, nb::repr(value).c_str(),
                          expected);
}

// The word for a value of an enumeration.
template <class Enum, std::size_t N>
Enum choose(const std::string& where, const std::string& word, nb::handle value,
            const std::array<std::pair<const char*, Enum>, N>& choices, const char* expected) {
  if (PyUnicode_Check(value.ptr())) {
    const auto text = nb::cast<std::string>(value);
    for (const auto& [name, choice] : choices) {
      if (text == name) return choice;
    }
  }
  refuse(where, word, value, expected);
}

constexpr std::array<std::pair<const char*, Policy>, 3> kPolicies{
    {{"block", Policy::block},
     {"drop_oldest", Policy::drop_oldest},
     {"drop_newest", Policy::drop_newest}}};
constexpr const char* kPolicyWords = "\"block\", \"drop_oldest\" or \"drop_newest\"";

// Reads a dict's entries, as ints, numbers and words, naming what does not fit.
class Words {
 public:
  Words(nb::dict words, std::string where) : words_(std::move(words)), where_(std::move(where)) {}

  [[nodiscard]] bool has(const char* word) const {
    return words_.contains(word) && !words_[word].is_none();
  }
  [[nodiscard]] nb::object get(const char* word) const { return words_[word]; }

  void take(const char* word, int& into) const {
    if (!has(word)) return;
    const nb::object value = get(word);
    if (PyBool_Check(value.ptr()) || !nb::try_cast(value, into))
      refuse(where_, word, value, "an int");
  }
  void take(const char* word, std::int64_t& into) const {
    if (!has(word)) return;
    const nb::object value = get(word);
    if (PyBool_Check(value.ptr()) || !nb::try_cast(value, into) || into < 0) {
      refuse(where_, word, value, "an int of at least 0");
    }
  }
  void take(const char* word, double& into) const {
    if (!has(word)) return;
    const nb::object value = get(word);
    if (PyBool_Check(value.ptr()) || !nb::try_cast(value, into) || !(into >= 0)) {
      refuse(where_, word, value, "a number of at least 0");
    }
  }
  void take(const char* word, bool& into) const {
    if (has(word)) into = nb::cast<bool>(nb::bool_(get(word)));
  }
  void take(const char* word, std::string& into) const {
    if (has(word)) into = nb::cast<std::string>(nb::str(get(word)));
  }
  void take_size(const char* word, int& into) const {
    take(word, into);
    if (into < 1 && into != kAnySize) refuse(where_, word, get(word), "at least 1, or ANY_SIZE");
  }
  bool take(const char* word, Policy& into) const {
    if (!has(word)) return false;
    into = choose(where_, word, get(word), kPolicies, kPolicyWords);
    return true;
  }
  [[nodiscard]] const std::string& where() const { return where_; }

 private:
  nb::dict words_;
  std::string where_;
};

void take_join(const Words& words, OperatorOptions& options) {
  if (!words.has("join")) return;
  options.is_join_set = true;
  const nb::object join = words.get("join");
  if (nb::hasattr(join, "within_ms")) {
    options.join = Join::within;
    options.within_ms = nb::cast<double>(join.attr("within_ms"));
    return;
  }
  constexpr std::array<std::pair<const char*, Join>, 3> kJoins{
      {{"origin", Join::origin}, {"position", Join::position}, {"latest", Join::latest}}};
  options.join = choose(words.where(), "join", join, kJoins,
                        "\"origin\", \"position\", \"latest\" or ps.within(ms=...)");
}

void take_per(const Words& words, OperatorOptions& options) {
  if (!words.has("per")) return;
  constexpr std::array<std::pair<const char*, bool>, 1> kPer{{{"source", true}}};
  options.per_source = choose(words.where(), "per", words.get("per"), kPer, "\"source\" or None");
}

}  // namespace

OnError on_error_from(nb::handle word, OnErrorCall& call, const SourceNames& sources) {
  if (PyCallable_Check(word.ptr()) != 0) {
    auto kept = std::make_shared<PyRef>(PyRef::borrow(word.ptr()));
    call = [kept, sources](const std::exception_ptr& error, const Message& message) {
      in_python([&] {
        const nb::object about =
            message ? nb::cast(PyMessage(*message.data(), *sources)) : nb::object(nb::none());
        nb::handle(kept->get())(exception_object(error), about);
      });
    };
    return OnError::call;
  }
  constexpr std::array<std::pair<const char*, OnError>, 4> kWords{{{"raise", OnError::raise},
                                                                   {"skip", OnError::skip},
                                                                   {"restart", OnError::restart},
                                                                   {"end", OnError::end}}};
  return choose("graph", "on_error", word, kWords,
                "\"raise\", \"skip\", \"restart\", for a source \"end\", or a callable");
}

StreamPolicy streams_from(nb::handle word) {
  constexpr std::array<std::pair<const char*, StreamPolicy>, 4> kWords{
      {{"chain", StreamPolicy::chain},
       {"per_operator", StreamPolicy::per_operator},
       {"single", StreamPolicy::single},
       {"default", StreamPolicy::default_}}};
  return choose("run", "streams", word, kWords,
                "\"chain\", \"per_operator\", \"single\" or \"default\"");
}

OperatorOptions options_from(nb::dict given, const SourceNames& sources) {
  std::string name = "operator";
  if (given.contains("name")) name = nb::cast<std::string>(nb::str(given["name"]));
  const Words words(std::move(given), std::move(name));
  OperatorOptions options;
  words.take("name", options.name);
  words.take("batch", options.batch);
  words.take("max_delay_ms", options.max_delay_ms);
  words.take("window", options.window);
  words.take("stride", options.stride);
  take_per(words, options);
  words.take("instances", options.instances);
  if (words.has("order")) {
    constexpr std::array<std::pair<const char*, OutputOrder>, 2> kOrders{
        {{"input", OutputOrder::input}, {"arrival", OutputOrder::arrival}}};
    options.order =
        choose(words.where(), "order", words.get("order"), kOrders, "\"input\" or \"arrival\"");
  }
  take_join(words, options);
  if (words.has("on_error")) {
    options.is_on_error_set = true;
    options.on_error = on_error_from(words.get("on_error"), options.on_error_call, sources);
  }
  words.take("max_errors", options.max_errors);
  words.take("capacity", options.capacity);
  static_cast<void>(words.take("policy", options.policy));
  words.take("max_age_ms", options.max_age_ms);
  words.take("count", options.count);
  words.take("every_ms", options.every_ms);
  words.take("in_flight", options.in_flight);
  if (words.has("sync")) {
    constexpr std::array<std::pair<const char*, bool>, 1> kSync{{{"context", true}}};
    options.sync_context =
        choose(words.where(), "sync", words.get("sync"), kSync, "\"context\" or None");
  }
  return options;
}

std::vector<PortSpec> ports_from(nb::list ports) {
  std::vector<PortSpec> all;
  for (nb::handle port : ports) {
    const Words words(nb::cast<nb::dict>(port), nb::cast<std::string>(nb::str(port["name"])));
    PortSpec spec;
    words.take("name", spec.name);
    words.take("type", spec.type);
    words.take("optional", spec.is_optional);
    words.take("host", spec.is_host);
    words.take("writes", spec.is_written);
    words.take_size("size", spec.size);
    words.take("capacity", spec.capacity);
    spec.is_policy_set = words.take("policy", spec.policy);
    words.take("max_age_ms", spec.max_age_ms);
    all.push_back(std::move(spec));
  }
  return all;
}

}  // namespace penstock::pybridge
