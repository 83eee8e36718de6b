// SPDX-License-Identifier: Apache-2.0
// The thread pool: one job at a time, tasks from a shared counter, workers that spin briefly and then sleep.
#include "libcore/base/parallel.hpp"

#include "libcore/base/error.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <sched.h>

namespace stillhouse {

namespace {

// True while this thread runs tasks of any pool: a for_each inside runs serially.
thread_local bool inside_task = false;

void pause_briefly() noexcept
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/// Spins for at most about twenty microseconds until `ready`; a sleep and wake-up costs several times that.
template <class Ready>
bool spin_until(const Ready& ready)
{
    const auto limit = std::chrono::steady_clock::now() + std::chrono::microseconds(20);
    do {
        for (int i = 0; i < 16; ++i) {
            if (ready()) {
                return true;
            }
            pause_briefly();
        }
    } while (std::chrono::steady_clock::now() < limit);
    return false;
}

}  // namespace

struct ThreadPool::Shared {
    // Written by the caller under `mutex` while no worker is inside, read by workers that entered under `mutex`.
    Call call = nullptr;
    const void* task = nullptr;
    Index n = 0;
    std::exception_ptr failure;

    std::mutex caller;   // one job at a time: a second calling thread waits
    std::mutex mutex;
    std::condition_variable work;
    std::condition_variable done;
    std::atomic<std::uint64_t> job{0};   // counts jobs; changes under `mutex`
    std::atomic<int> inside{0};          // workers in the present job; rises under `mutex` only
    bool open = false;                   // the present job still admits workers
    bool quit = false;
    std::atomic<Index> next{0};
    std::vector<std::thread> workers;

    void run_tasks()
    {
        inside_task = true;
        for (;;) {
            const Index i = next.fetch_add(1, std::memory_order_relaxed);
            if (i >= n) {
                break;
            }
            try {
                call(task, i);
            } catch (...) {
                const std::lock_guard lock(mutex);
                if (!failure) {
                    failure = std::current_exception();
                }
                next.store(n, std::memory_order_relaxed);   // hand out no more
            }
        }
        inside_task = false;
    }

    void worker()
    {
        std::uint64_t seen = 0;
        for (;;) {
            spin_until([&] { return job.load(std::memory_order_acquire) != seen; });
            {
                std::unique_lock lock(mutex);
                work.wait(lock, [&] { return quit || job.load(std::memory_order_relaxed) != seen; });
                if (quit) {
                    return;
                }
                seen = job.load(std::memory_order_relaxed);
                if (!open) {
                    continue;   // came too late: the others have done it all
                }
                inside.fetch_add(1, std::memory_order_relaxed);
            }
            run_tasks();
            if (inside.fetch_sub(1, std::memory_order_acq_rel) == 1) {
                const std::lock_guard lock(mutex);   // the caller is either before its test or asleep
                done.notify_one();
            }
        }
    }

    void stop() noexcept
    {
        {
            const std::lock_guard lock(mutex);
            quit = true;
            job.fetch_add(1, std::memory_order_release);
        }
        work.notify_all();
        for (std::thread& thread : workers) {
            thread.join();
        }
    }
};

ThreadPool::ThreadPool(int threads) : shared_(std::make_unique<Shared>())
{
    if (threads < 1) {
        throw_error(ErrorCode::bad_argument,
                    "a pool of " + std::to_string(threads) + " threads cannot work; take at least 1");
    }
    try {
        for (int i = 1; i < threads; ++i) {
            shared_->workers.emplace_back([shared = shared_.get()] { shared->worker(); });
        }
    } catch (const std::system_error& error) {
        shared_->stop();
        throw_error(ErrorCode::resource, "cannot start " + std::to_string(threads) + " threads: " + error.what() +
                                             "; ask for fewer");
    }
}

ThreadPool::~ThreadPool()
{
    shared_->stop();
}

int ThreadPool::threads() const noexcept
{
    return static_cast<int>(shared_->workers.size()) + 1;
}

void ThreadPool::run(Index n, Call call, const void* task)
{
    if (n <= 0) {
        return;
    }
    if (inside_task || n == 1 || shared_->workers.empty()) {
        // A single task is not marked as inside: what it calls may use the pool.
        for (Index i = 0; i < n; ++i) {
            call(task, i);
        }
        return;
    }
    Shared& shared = *shared_;
    const std::lock_guard one_job(shared.caller);
    {
        const std::lock_guard lock(shared.mutex);
        shared.call = call;
        shared.task = task;
        shared.n = n;
        shared.failure = nullptr;
        shared.next.store(0, std::memory_order_relaxed);
        shared.open = true;
        shared.job.fetch_add(1, std::memory_order_release);
    }
    shared.work.notify_all();

    shared.run_tasks();

    std::exception_ptr failure;
    {
        std::unique_lock lock(shared.mutex);
        shared.open = false;   // who has not entered by now has nothing left to do
        lock.unlock();
        spin_until([&] { return shared.inside.load(std::memory_order_acquire) == 0; });
        lock.lock();
        shared.done.wait(lock, [&] { return shared.inside.load(std::memory_order_acquire) == 0; });
        shared.task = nullptr;
        failure = std::exchange(shared.failure, nullptr);
    }
    if (failure) {
        std::rethrow_exception(failure);
    }
}

int available_processors() noexcept
{
    // Machines with more processors than a cpu_set_t holds make the first call fail with EINVAL: ask for more room.
    for (int room = 1024; room <= (1 << 20); room *= 4) {
        cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(room));
        if (set == nullptr) {
            break;
        }
        const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(room));
        const bool ok = sched_getaffinity(0, bytes, set) == 0;
        const int count = ok ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (ok && count > 0) {
            return count;
        }
    }
    const unsigned int count = std::thread::hardware_concurrency();
    return count > 0 ? static_cast<int>(count) : 1;
}

}  // namespace stillhouse
