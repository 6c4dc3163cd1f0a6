// All of Penstock's C++ API.
#pragma once

#include <penstock/batches.hpp>
#include <penstock/device.hpp>
#include <penstock/dtype.hpp>
#include <penstock/error.hpp>
#include <penstock/graph.hpp>
#include <penstock/layout.hpp>
#include <penstock/memory.hpp>
#include <penstock/operator.hpp>
#include <penstock/ops.hpp>
#include <penstock/stream.hpp>
#include <penstock/tensor.hpp>
