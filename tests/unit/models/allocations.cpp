// SPDX-License-Identifier: Apache-2.0
// A step of a mixer asks for no memory once the first ones have been taken.
#include "hyena_test.hpp"
#include "libcore/models/attention.hpp"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <cstdlib>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define STILLHOUSE_COUNTS 1

namespace
{
std::atomic<long> asked{0};
}

// Every allocation of the program passes here: operator new asks malloc, aligned arrays ask calloc.
extern "C" void* __libc_malloc(std::size_t);
extern "C" void* __libc_calloc(std::size_t, std::size_t);
extern "C" void* malloc(std::size_t bytes)
{
    ++asked;
    return __libc_malloc(bytes);
}
extern "C" void* calloc(std::size_t count, std::size_t bytes)
{
    ++asked;
    return __libc_calloc(count, bytes);
}
#endif

namespace stillhouse::models
{

BOOST_AUTO_TEST_SUITE(allocations)

#if defined(STILLHOUSE_COUNTS)
BOOST_AUTO_TEST_CASE(steps_take_no_memory)
{
    const long before_any = asked;
    const Buffer<float> one(100);
    std::vector<int> another(100);
    BOOST_TEST(asked >= before_any + 2);               // the counter counts
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 1);
    auto& ops = backend->single();
    for (const NamedMixer& each : small_mixers()) {
        const Parameters<float> weights = mixer_weights_of<float>(each.config, 51);
        const auto mixer = make_hyena_mixer<float>(each.config, 0, weights);
        mixer->refresh(ops);
        const bool modal = each.config.mixers[0].form == FilterForm::modal ||
                           each.config.mixers[0].kind == MixerKind::linear;
        const Index width = each.config.width;
        for (const Execution execution : {Execution::recurrent, Execution::exact_original}) {
            // keys and values of kept heads grow, a block at a time
            if ((execution == Execution::recurrent && !modal) || !each.config.mixers[0].kept_heads.empty()) {
                continue;
            }
            const auto state = mixer->start(3, execution);
            const Buffer<float> x = random_values<float>(3 * width, 52);
            Buffer<float> y(x.size());
            const auto step = [&] {
                mixer->step(ops, Matrix<const float>(x.data(), 3, width), *state,
                            Matrix<float>(y.data(), 3, width));
            };
            for (int t = 0; t < 20; ++t) {
                step();
            }
            const long before = asked;
            for (int t = 0; t < 40; ++t) {
                step();
            }
            BOOST_TEST(asked == before, each.name << ", execution " << static_cast<int>(execution) << ": "
                                              << asked - before);
        }
    }
}
#endif

BOOST_AUTO_TEST_SUITE_END()

} // namespace stillhouse::models
