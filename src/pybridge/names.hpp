// Python strings and constants that are used for each call, made once. With the GIL.
#pragma once

#include "pybridge/python.hpp"

namespace penstock::pybridge {

struct Names {
  nb::str dlpack{"__dlpack__"};
  nb::str dlpack_device{"__dlpack_device__"};
  nb::str exchange_api{"__dlpack_c_exchange_api__"};
  nb::str requires_grad{"requires_grad"};
  nb::str is_neg{"is_neg"};
  nb::str is_conj{"is_conj"};
  nb::str cuda_array{"__cuda_array_interface__"};
  nb::str array{"__array_interface__"};
  nb::str cuda_ptr{"cudaPtr"};
  nb::str data{"data"};
  nb::str ptr{"ptr"};
  nb::str device_id{"device_id"};
  nb::str shape{"shape"};
  nb::str strides{"strides"};
  nb::str dtype{"dtype"};
  nb::str impl{"_impl"};
  nb::str compute{"compute"};
  nb::tuple no_arguments;
  nb::dict max_version_keyword;

  Names() { max_version_keyword["max_version"] = nb::make_tuple(1, 3); }
};

[[nodiscard]] inline const Names& names() {
  static auto* all = new Names;
  return *all;
}

}  // namespace penstock::pybridge
