// What the dimensions of a tensor mean, as letters: "HWC", "NCHW". A plain value of 16 bytes.
#pragma once

#include <penstock/export.hpp>

#include <cstdint>
#include <string_view>

namespace penstock {

/// Dimension letters in order; empty where nothing was said.
class PENSTOCK_API Layout {
 public:
  constexpr Layout() = default;
  /// Up to 15 letters A to Z, each once. Throws TensorError otherwise.
  Layout(std::string_view
             letters);  // NOLINT(google-explicit-constructor): layouts are written as strings
  Layout(const char* letters)
      : Layout(std::string_view(letters)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] std::string_view str() const { return {letters_, rank_}; }
  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] bool empty() const { return rank_ == 0; }
  /// Position of a letter, -1 if it is not there.
  [[nodiscard]] int find(char letter) const;
  friend bool operator==(const Layout& a, const Layout& b) { return a.str() == b.str(); }

 private:
  char letters_[15] = {};
  std::uint8_t rank_ = 0;
};

}  // namespace penstock
