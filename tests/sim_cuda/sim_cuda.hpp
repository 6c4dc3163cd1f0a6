// A CUDA runtime and driver for tests on machines without a GPU: the functions that Penstock calls,
// with the order that CUDA's documentation promises and none beyond it. What a test needs besides
// stands here; Python reaches it through ctypes. Streams are the runtime's handles. Thread-safe.
#pragma once

#include <cstddef>

#define SIM_API extern "C" [[gnu::visibility("default")]]

/// Calls of a runtime or driver function so far, by its name without a version: "cudaEventRecord".
SIM_API long sim_calls(const char* function);
/// Those that named a stream which is there no more: a real driver may crash at one.
SIM_API long sim_calls_of_no_stream();
/// The address of a function of the simulated runtime or driver, nullptr if it has none.
SIM_API void* sim_function(const char* function);

/// Queues host code on a stream: what a kernel is on a GPU. Gives a cudaError_t, as all do here.
SIM_API int sim_launch(void* stream, void (*code)(void*), void* argument);
/// A kernel that runs so long.
SIM_API int sim_delay(void* stream, long microseconds);
/// A kernel that runs until sim_open(); nullptr if it can't be queued.
SIM_API void* sim_hold(void* stream);
/// Ends what sim_hold() queued; once for each.
SIM_API void sim_open(void* held);
/// A kernel that breaks the device: `code` is a sticky error such as 700, an illegal address.
SIM_API int sim_fault(void* stream, int code);

/// Each queued operation is delayed at random, by numbers that the seed begins; 0: none is.
SIM_API void sim_seed(unsigned long seed);
/// Whether copies between a device and pageable memory wait for the stream, as most drivers do, or
/// read and write it in stream order, as the documentation allows. At first they don't wait.
SIM_API void sim_pageable_waits(int waits);
/// Bytes of memory that the device has from now on.
SIM_API void sim_set_memory(int device, std::size_t bytes);
/// Bytes of it that are taken.
SIM_API std::size_t sim_memory_used(int device);
/// Devices that have a context.
SIM_API int sim_contexts();
/// Whether a GPU can use another's memory. At first it can.
SIM_API void sim_set_peers(int has_peers);
SIM_API int sim_current_device();  // of the calling thread
/// Operations that are queued or running on the device.
SIM_API long sim_pending(int device);
/// Operations that a captured graph holds.
SIM_API int sim_graph_nodes(void* graph);
