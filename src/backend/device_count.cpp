#include "backend/backend.hpp"

namespace penstock {

int device_count() { return backend::cuda().device_count(); }

}  // namespace penstock
