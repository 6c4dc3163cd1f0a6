// A chain of pass-through nodes in oneTBB's flow graph, as a peer for bench_runtime.
#pragma once

namespace penstock::bench {

/// Seconds to send `messages` ints through source, `hops` serial function nodes, and a sink, with
/// at most 64 under way (a limiter node), on that many threads.
[[nodiscard]] double tbb_chain_s(int hops, int messages, int threads);

}  // namespace penstock::bench
