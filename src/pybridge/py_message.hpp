// What ps.message() gives: the origin, time and metadata of what an operator works on, and of what
// it emits. With the GIL.
#pragma once

#include "graph/activation.hpp"
#include "pybridge/python.hpp"

#include <optional>
#include <string>
#include <vector>

namespace penstock::pybridge {

class PyMessage {
 public:
  /// `names`: of the sources, by number.
  PyMessage(const graph::Activation& activation, const std::vector<std::string>& names,
            bool is_list);
  PyMessage(const MessageData& message, const std::vector<std::string>& names);

  [[nodiscard]] nb::object origin() const;
  [[nodiscard]] nb::object time() const { return time_; }
  void set_time(nb::handle seconds);
  /// The time was set by somebody; else it is when the message came into the graph.
  [[nodiscard]] bool has_time() const { return has_time_; }
  /// A dict of its own; what is put there goes on with what is emitted.
  [[nodiscard]] nb::dict metadata();
  [[nodiscard]] nb::object value() const { return value_; }

  /// Gives time and metadata, as far as they were touched, to what was emitted.
  void apply(graph::Activation& activation) const;

 private:
  [[nodiscard]] nb::object origin_object(const Origin& origin) const;

  std::vector<Origin> origins_;
  std::vector<std::string> sources_;  // names of origins_
  bool is_list_ = false;
  nb::object time_ = nb::none();
  bool has_time_ = false;
  bool is_time_set_ = false;
  std::shared_ptr<const Metadata> given_;
  std::optional<nb::dict> metadata_;
  nb::object value_ = nb::none();
};

}  // namespace penstock::pybridge
