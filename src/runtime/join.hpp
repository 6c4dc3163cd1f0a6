// Which messages of several inputs belong together: tuples of one message (or several) a port.
// Used by a node's owner alone.
#pragma once

#include <penstock/options.hpp>

#include "runtime/edge.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace penstock::runtime {

/// What a look at the inputs gave.
enum class Found : std::uint8_t {
  none,
  tuple,
  gap,   // what will not come of the lead's numbers is told by the gap
  over,  // nothing will come any more
};

/// The messages of one activation (or one item of a batch), ports in turn.
struct Tuple {
  std::vector<MessageRef> items;
  /// Items of each port; empty: one each.
  std::vector<std::uint32_t> counts;
  /// The one of them whose origin the result has.
  MessageData* lead = nullptr;
  /// It may lead others too; its number ends with a gap.
  bool keeps_weight = false;

  void clear() {
    items.clear();
    counts.clear();
    lead = nullptr;
    keeps_weight = false;
  }
};

/// One input: the edges that lead to it, and whose turn it is.
struct InPort {
  std::vector<Edge*> edges;
  bool is_optional = false;
  int size = 1;
  std::uint32_t group = 0;
  std::size_t turn = 0;
  /// When what was found last came, if its edge keeps that.
  std::int64_t arrival_ns = 0;

  /// The next message or gap, fairly; empty if none is there.
  [[nodiscard]] MessageRef pull();
  /// The same, and what it is.
  [[nodiscard]] Found next(MessageRef& message);
  /// Adds the next messages, at least one and at most `most`, or gives a gap.
  [[nodiscard]] Found next_some(graph::MessageList& into, std::size_t most, MessageRef& gap);
  /// True once all edges are.
  [[nodiscard]] bool is_over() const;
  /// A message of it found no partner.
  void count_unpaired(const MessageData& message);
};

class Joiner {
 public:
  Joiner() = default;
  Joiner(const Joiner&) = delete;
  Joiner& operator=(const Joiner&) = delete;
  virtual ~Joiner() = default;
  [[nodiscard]] virtual Found next(Tuple& tuple, MessageRef& gap) = 0;
  /// Messages that wait here for partners.
  [[nodiscard]] virtual std::size_t waiting() const { return 0; }
  /// Takes more messages in while it waits; false if that would not help.
  [[nodiscard]] virtual bool grow() { return false; }
};

struct JoinOptions {
  Join join = Join::origin;
  std::int64_t within_ns = 0;
  std::uint32_t groups = 1;
  const graph::Plan* plan = nullptr;
  /// Messages that branches may keep back, so that others wait for them here.
  std::size_t kept_back = 0;
};

[[nodiscard]] std::unique_ptr<Joiner> make_joiner(std::span<InPort> ports,
                                                  const JoinOptions& options);
[[nodiscard]] std::unique_ptr<Joiner> make_origin_joiner(std::vector<InPort*> ports,
                                                         const graph::Plan& plan,
                                                         std::size_t kept_back);
[[nodiscard]] std::unique_ptr<Joiner> make_number_joiner(std::span<InPort> ports,
                                                         std::uint32_t groups,
                                                         const graph::Plan& plan,
                                                         std::size_t kept_back);
/// What a port is told of each number of each source; Matcher::kNever: nobody knows.
[[nodiscard]] std::vector<std::uint64_t> expected_weights(const InPort& port,
                                                          const graph::Plan& plan);
/// Index of the port whose message leads: the first required one, else the first.
[[nodiscard]] std::size_t lead_port(std::span<InPort> ports);

}  // namespace penstock::runtime
