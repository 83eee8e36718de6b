// SPDX-License-Identifier: Apache-2.0
// The thread pool: each task once, nesting, exceptions, many short jobs, several callers.
#include <boost/test/unit_test.hpp>

#include "libcore/base/error.hpp"
#include "libcore/base/parallel.hpp"

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace stillhouse;

BOOST_AUTO_TEST_CASE(every_task_runs_once)
{
    for (const int threads : {1, 2, 3, 8}) {
        ThreadPool pool(threads);
        BOOST_TEST(pool.threads() == threads);
        for (const Index n : {0, 1, 2, 7, 1000}) {
            std::vector<std::atomic<int>> count(static_cast<std::size_t>(n));
            pool.for_each(n, [&](Index i) { ++count[static_cast<std::size_t>(i)]; });
            for (const auto& c : count) {
                BOOST_TEST(c == 1);
            }
        }
    }
    BOOST_CHECK_THROW(ThreadPool(0), Error);
    BOOST_TEST(available_processors() >= 1);
}

BOOST_AUTO_TEST_CASE(many_short_jobs_lose_nothing)
{
    ThreadPool pool(4);
    std::vector<Index> sums(16);
    for (int job = 0; job < 20000; ++job) {
        pool.for_each(16, [&](Index i) { sums[static_cast<std::size_t>(i)] += i + 1; });
    }
    for (Index i = 0; i < 16; ++i) {
        BOOST_TEST(sums[static_cast<std::size_t>(i)] == 20000 * (i + 1));
    }
}

BOOST_AUTO_TEST_CASE(workers_wake_after_sleeping)
{
    ThreadPool pool(3);
    for (int job = 0; job < 5; ++job) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        std::atomic<Index> sum{0};
        pool.for_each(100, [&](Index i) { sum += i; });
        BOOST_TEST(sum == 4950);
    }
}

BOOST_AUTO_TEST_CASE(nested_loops_stay_on_their_thread)
{
    ThreadPool pool(4);
    std::atomic<int> strangers{0};
    std::atomic<int> count{0};
    pool.for_each(20, [&](Index) {
        const auto mine = std::this_thread::get_id();
        pool.for_each(20, [&](Index) {
            strangers += std::this_thread::get_id() != mine ? 1 : 0;
            ++count;
        });
    });
    BOOST_TEST(strangers == 0);
    BOOST_TEST(count == 400);
}

BOOST_AUTO_TEST_CASE(exceptions_reach_the_caller)
{
    for (const int threads : {1, 4}) {
        ThreadPool pool(threads);
        for (int repeat = 0; repeat < 100; ++repeat) {
            BOOST_CHECK_THROW(pool.for_each(50, [](Index i) {
                if (i % 10 == 3) {
                    throw std::runtime_error("task");
                }
            }), std::runtime_error);
            std::atomic<int> count{0};
            pool.for_each(50, [&](Index) { ++count; });   // the pool goes on working
            BOOST_TEST(count == 50);
        }
        // Out of a nested loop as well, and the loop is parallel again afterwards.
        BOOST_CHECK_THROW(pool.for_each(4, [&](Index) {
            pool.for_each(4, [](Index) { throw_error(ErrorCode::stopped, "inner"); });
        }), Error);
    }
}

BOOST_AUTO_TEST_CASE(callers_take_turns)
{
    ThreadPool pool(3);
    std::vector<std::thread> callers;
    std::atomic<Index> sum{0};
    for (int c = 0; c < 3; ++c) {
        callers.emplace_back([&] {
            for (int job = 0; job < 300; ++job) {
                pool.for_each(10, [&](Index i) { sum += i; });
            }
        });
    }
    for (std::thread& caller : callers) {
        caller.join();
    }
    BOOST_TEST(sum == 3 * 300 * 45);
}
