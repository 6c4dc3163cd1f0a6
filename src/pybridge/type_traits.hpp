// What as_tensor has to know of a Python type, found once and cached. With the GIL.
#pragma once

#include <penstock/dlpack.hpp>

#include "pybridge/python.hpp"

namespace penstock::pybridge {

struct TypeTraits {
  /// DLPack's C exchange API of the type, nullptr if it has none.
  const dlpack::ExchangeApi* exchange = nullptr;
  bool has_requires_grad = false;
  /// penstock.Tensor or a subclass.
  bool is_own = false;
  /// numpy.ndarray itself.
  bool is_numpy = false;
  /// numpy.ma.MaskedArray or a subclass: its protocols leave the mask out.
  bool is_masked = false;
  /// penstock.Image.
  bool is_image = false;
  /// cupy.ndarray itself.
  bool is_cupy = false;
  /// A tensor of PyTorch, whose numbers may be lazily negated or conjugated.
  bool is_torch = false;
};

[[nodiscard]] TypeTraits traits_of(nb::handle object);
[[nodiscard]] inline bool is_image(nb::handle object) { return traits_of(object).is_image; }

}  // namespace penstock::pybridge
