#include <penstock/layout.hpp>

#include "base/throw.hpp"

#include <algorithm>

namespace penstock {

Layout::Layout(std::string_view letters) {
  if (letters.size() > sizeof(letters_)) {
    throw_error<TensorError>("layout: \"{}\" has {} letters; at most {} are possible", letters,
                             letters.size(), sizeof(letters_));
  }
  for (std::size_t i = 0; i < letters.size(); ++i) {
    const char letter = letters[i];
    if (letter < 'A' || letter > 'Z') {
      throw_error<TensorError>(
          "layout: \"{}\" has '{}'; expected capital letters such as \"HWC\" or \"NCHW\"", letters,
          letter);
    }
    if (letters.substr(0, i).find(letter) != std::string_view::npos) {
      throw_error<TensorError>("layout: \"{}\" names '{}' twice; each dimension has its own letter",
                               letters, letter);
    }
  }
  std::copy(letters.begin(), letters.end(), letters_);
  rank_ = static_cast<std::uint8_t>(letters.size());
}

int Layout::find(char letter) const {
  const std::size_t at = str().find(letter);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace penstock
