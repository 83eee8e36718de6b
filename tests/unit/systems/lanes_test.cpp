// SPDX-License-Identifier: Apache-2.0
// Recurrences side by side: against one after another in double, in every cut, and each level of instructions.
#include "libcore/systems/recurrence_bank.hpp"
#include "systems_test.hpp"

#include <boost/test/unit_test.hpp>

#include <array>
#include <tuple>

namespace stillhouse::systems::test {
namespace {

constexpr Index length = 200;

/// Filters of different orders, of one form, with two first taps; the first has no modes.
std::vector<Realization> bank_of(Form form, bool uneven_taps)
{
    std::vector<Realization> bank;
    for (const auto& [pairs, reals] : {std::pair{0, 0}, {8, 0}, {3, 3}, {1, 1}, {11, 2}, {0, 1}}) {
        std::vector<Complex> poles;
        std::vector<Complex> residues;
        random_modes(static_cast<std::uint64_t>(40 + pairs), pairs, reals, poles, residues);
        std::vector<double> fir{0.3, -1.2};
        if (uneven_taps && pairs == 3) {
            fir.insert(fir.end(), {0.7, 0.1});
        }
        const bool large = form == Form::companion && pairs > 3;
        bank.push_back(realize(large ? system_from({}, {}, fir) : system_from(poles, residues, fir), form));
    }
    return bank;
}

/// All signals of the bank by LaneRecurrence in scans of the given lengths, [length, signals].
template <class T>
std::vector<double> by_lanes(const LaneRecurrence<T>& lanes, const std::vector<double>& u, Index signals, Index piece)
{
    std::vector<double> y(u.size());
    for (Index block = 0; block < lanes.blocks(); ++block) {
        const Index first = block * lane_count;
        const Index count = std::min(lane_count, signals - first);
        Buffer<T> state(lanes.state_size());
        Buffer<T> rows(LaneRecurrence<T>::longest * lane_count);
        for (Index t = 0; t < length; t += piece) {
            const Index now = std::min(piece, length - t);
            std::fill(rows.begin(), rows.end(), T(0));
            for (Index i = 0; i < now * count; ++i) {
                rows[i / count * lane_count + i % count] =
                    static_cast<T>(u[static_cast<std::size_t>((t + i / count) * signals + first + i % count)]);
            }
            lanes.scan(block, rows.data(), now, state.data(), rows.data());
            for (Index i = 0; i < now * count; ++i) {
                y[static_cast<std::size_t>((t + i / count) * signals + first + i % count)] =
                    static_cast<double>(rows[i / count * lane_count + i % count]);
            }
        }
    }
    return y;
}

template <class T>
void against_one_after_another(double limit, bool uneven_taps)
{
    for (const Form form : {Form::modal, Form::cascade, Form::companion, Form::balanced, Form::dense}) {
        const std::vector<Realization> filters = bank_of(form, uneven_taps);
        constexpr Index signals = 37;            // two whole blocks, and five
        std::vector<Index> filter_of(signals);
        for (std::size_t i = 0; i < filter_of.size(); ++i) {
            filter_of[i] = static_cast<Index>(i * i % filters.size());
        }
        std::vector<double> u = noise(5, length * signals);
        for (double& x : u) {
            x = static_cast<double>(static_cast<float>(x));
        }
        const Recurrence<double> reference(filters, 0);
        std::vector<double> wanted(u.size());
        std::vector<double> state(static_cast<std::size_t>(signals * reference.state_size()));
        for (std::size_t t = 0; t < length; ++t) {
            reference.step(u.data() + t * signals, filter_of.data(), signals, state.data(), wanted.data() + t * signals);
        }
        const RecurrenceBank<T> bank(filters, 0);
        const LaneRecurrence<T> lanes = bank.lanes(filter_of);
        BOOST_TEST(lanes.in_double() == bank.in_double());
        const std::vector<double> y = by_lanes(lanes, u, signals, 32);
        BOOST_TEST(relative_l2(y, wanted) < limit, name_of(form) << " " << relative_l2(y, wanted));
        BOOST_TEST((y == by_lanes(lanes, u, signals, 1)));
        BOOST_TEST((y == by_lanes(lanes, u, signals, 7)));
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lanes)

BOOST_AUTO_TEST_CASE(side_by_side_is_one_after_another)
{
    for (const bool uneven : {false, true}) {
        against_one_after_another<double>(1e-12, uneven);
        against_one_after_another<float>(3e-6, uneven);
    }
}

/// A bank that f32 would lose runs in double, its state in twice as many numbers.
BOOST_AUTO_TEST_CASE(double_where_single_is_lost)
{
    // two modes near the circle that cancel for a long time
    const std::vector<Complex> poles{std::polar(1.0 - 1e-8, 0.7), std::polar(1.0 - 2e-8, 0.7001)};
    const std::vector<Complex> residues{{1e3, 0.0}, {-1e3, 0.0}};
    const std::vector<double> fir{0.5};
    const std::vector<Realization> filters{realize(system_from(poles, residues, fir), Form::cascade)};
    const RecurrenceBank<float> bank(filters, 0);
    BOOST_TEST(bank.in_double());
    const std::vector<Index> filter_of(20, 0);
    const LaneRecurrence<float> lanes = bank.lanes(filter_of);
    BOOST_TEST(lanes.state_size() == 2 * 16 * 4);
    BOOST_TEST(lanes.blocks() == 2);
    std::vector<double> u = noise(6, length * 20);
    for (double& x : u) {
        x = static_cast<double>(static_cast<float>(x));
    }
    const Recurrence<double> reference(filters, 0);
    std::vector<double> wanted(u.size());
    std::vector<double> state(static_cast<std::size_t>(20 * reference.state_size()));
    for (std::size_t t = 0; t < length; ++t) {
        reference.step(u.data() + t * 20, filter_of.data(), 20, state.data(), wanted.data() + t * 20);
    }
    BOOST_TEST(relative_l2(by_lanes(lanes, u, 20, 32), wanted) < 1e-6);

    Buffer<float> numbers(lanes.state_size());
    lanes.set_state(numbers.data(), 3, 5, 0.1);
    BOOST_TEST(lanes.state_at(numbers.data(), 3, 5) == 0.1);
    BOOST_TEST(lanes.state_at(numbers.data(), 3, 4) == 0.0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(levels_agree, T, decltype(std::tuple<float, double>()))
{
    const LaneKernels<T>& plain = *lane_kernels_of<T>("plain");
    const double limit = sizeof(T) == 4 ? 2e-5 : 1e-13;
    constexpr Index tokens = 9;
    for (const char* level : {"avx2", "avx512"}) {
        const LaneKernels<T>* const other = lane_kernels_of<T>(level);
        if (other == nullptr) {
            BOOST_TEST_MESSAGE(level << ": not on this processor");
            continue;
        }
        for (const Index slots : {1, 2, 3, 4, 7, 8, 13}) {
            Random random(static_cast<std::uint64_t>(slots), 8);
            const auto values = [&](Index n) {
                std::vector<T> v(static_cast<std::size_t>(n));
                for (T& x : v) {
                    x = static_cast<T>(0.3 * random.normal());
                }
                return v;
            };
            const Index row = lane_count;
            const std::vector<T> c = values(std::max<Index>(section_rows, slots + 2) * slots * row);
            const std::vector<T> u = values(tokens * row);
            const std::vector<T> x = values(2 * slots * row);
            const std::vector<T> begin = values(tokens * row);
            const auto both = [&](const char* name, const auto& call) {
                std::array<std::vector<T>, 2> results;
                for (const bool fast : {false, true}) {
                    std::vector<T> in = u;
                    std::vector<T> state = x;
                    std::vector<T> y = begin;
                    call(fast ? *other : plain, in, state, y);
                    auto& all = results[fast ? 1 : 0];
                    all = in;
                    all.insert(all.end(), state.begin(), state.end());
                    all.insert(all.end(), y.begin(), y.end());
                }
                const std::vector<double> a(results[0].begin(), results[0].end());
                const std::vector<double> b(results[1].begin(), results[1].end());
                BOOST_TEST(relative_l2(b, a) < limit, level << " " << name << " " << slots);
            };
            both("pairs", [&](const auto& k, auto& in, auto& s, auto& y) {
                k.pairs(slots, c.data(), in.data(), tokens, s.data(), y.data());
            });
            both("singles", [&](const auto& k, auto& in, auto& s, auto& y) {
                k.singles(slots, c.data(), in.data(), tokens, s.data(), y.data());
            });
            both("sections", [&](const auto& k, auto& in, auto& s, auto& y) {
                k.sections(slots, c.data(), in.data(), tokens, s.data(), y.data());
            });
            both("companion", [&](const auto& k, auto& in, auto& s, auto& y) {
                k.companion(slots, c.data(), in.data(), tokens, s.data(), y.data());
            });
            both("dense", [&](const auto& k, auto& in, auto& s, auto& y) {
                std::vector<T> next(static_cast<std::size_t>(slots * row));
                k.dense(slots, c.data(), in.data(), tokens, s.data(), next.data(), y.data());
            });
            both("taps", [&](const auto& k, auto& in, auto& s, auto& y) {
                std::vector<T> fed(in.size());
                k.taps(slots, c.data(), in.data(), tokens, s.data(), fed.data(), y.data());
                in = fed;
            });
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace stillhouse::systems::test
