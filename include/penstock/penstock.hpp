// All of Penstock's C++ API.
#pragma once

#include <penstock/device.hpp>
#include <penstock/dtype.hpp>
#include <penstock/error.hpp>
#include <penstock/layout.hpp>
#include <penstock/memory.hpp>
#include <penstock/ops.hpp>
#include <penstock/stream.hpp>
#include <penstock/tensor.hpp>
