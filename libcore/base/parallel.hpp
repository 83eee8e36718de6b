// SPDX-License-Identifier: Apache-2.0
// A fixed pool of threads that hands out small tasks from a shared counter.
#pragma once

#include "libcore/base/shape.hpp"

#include <memory>

namespace stillhouse {

/// Results must not depend on who ran a task: a task writes what no other task writes, and sums across tasks are
/// made afterwards in a fixed order. Idle workers spin a few microseconds and then sleep, so that an oversubscribed
/// machine does not collapse. A `for_each` inside a task runs its tasks serially on the same thread.
/// The first exception of a task is rethrown to the caller after all running tasks have ended.
class ThreadPool {
public:
    explicit ThreadPool(int threads);   // >= 1; the calling thread is one of them
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    int threads() const noexcept;

    /// Calls task(0) ... task(n - 1), each once, in no particular order; returns when all are done. Allocates nothing.
    template <class Task>
    void for_each(Index n, const Task& task)
    {
        run(n, [](const void* what, Index i) { (*static_cast<const Task*>(what))(i); }, &task);
    }

private:
    using Call = void (*)(const void* task, Index i);
    void run(Index n, Call call, const void* task);

    struct Shared;
    std::unique_ptr<Shared> shared_;
};

/// Processors this process may run on (affinity mask, so cgroup cpusets and Slurm are respected); at least 1.
int available_processors() noexcept;

}  // namespace stillhouse
