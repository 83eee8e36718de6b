// SPDX-License-Identifier: Apache-2.0
// Attention with products of bf16 pairs: against f64, exactly where nothing is rounded, and its bits.
#include "libcore/base/random.hpp"
#include "libcore/models/attention.hpp"

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <vector>

using namespace stillhouse;
using namespace stillhouse::models;

namespace {

const std::vector<AttentionGeometry> geometries{{4, 2, 5, 0},  {2, 2, 64, 0}, {3, 1, 32, 17}, {2, 1, 80, 0},
                                                {1, 1, 33, 1}, {2, 2, 16, 64}, {1, 1, 130, 5}, {2, 1, 48, 500}};

Buffer<float> normals(Index n, std::uint64_t stream)
{
    Buffer<float> values(n);
    Random random(3, stream);
    for (float& value : values) {
        value = static_cast<float>(random.normal());
    }
    return values;
}

template <class T>
Buffer<T> converted(const Buffer<float>& from, Index n)
{
    Buffer<T> to(n);
    std::copy_n(from.data(), n, to.data());
    return to;
}

/// y of sequences of `length`, and, appended to it, the statistics.
template <class T>
Buffer<T> attended(compute::Operations<T>& ops, const AttentionGeometry& geometry, Index batch, Index length,
                   const Buffer<float>& q, const Buffer<float>& k, const Buffer<float>& v)
{
    Rotary rotary;
    rotary.dims = geometry.head_dim / 4 * 2;
    const SoftmaxAttention<T> attention(geometry, rotary);
    const Index queries = batch * length * geometry.query_width();
    const Index keys = batch * length * geometry.key_width();
    Buffer<T> own_q = converted<T>(q, queries), own_k = converted<T>(k, keys), own_v = converted<T>(v, keys);
    Buffer<T> y(queries + batch * length * geometry.heads);
    attention.forward(ops, {own_q.data(), batch, length, geometry.query_width()},
                      {own_k.data(), batch, length, geometry.key_width()},
                      {own_v.data(), batch, length, geometry.key_width()},
                      {y.data(), batch, length, geometry.query_width()}, y.data() + queries);
    return y;
}

}  // namespace

BOOST_AUTO_TEST_CASE(attention_in_pairs_is_the_attention)
{
    const auto exact = compute::make_backend("cpu", compute::Precision::f64, 1);
    const auto rounded = compute::make_backend("cpu", compute::Precision::bf16, 2);
    for (const AttentionGeometry& geometry : geometries) {
        for (const Index length : {1, 47, 131}) {
            const Index batch = 2;
            const Buffer<float> q = normals(batch * length * geometry.query_width(), 1);
            const Buffer<float> k = normals(batch * length * geometry.key_width(), 2);
            const Buffer<float> v = normals(batch * length * geometry.key_width(), 3);
            const auto wanted = attended<double>(exact->real(), geometry, batch, length, q, k, v);
            const auto found = attended<float>(rounded->single(), geometry, batch, length, q, k, v);
            double error = 0.0;
            double size = 0.0;
            double worst = 0.0;
            for (Index i = 0; i < wanted.size(); ++i) {
                const double off = static_cast<double>(found[i]) - wanted[i];
                error += off * off;
                size += wanted[i] * wanted[i];
                worst = std::max(worst, std::abs(off));
            }
            BOOST_TEST_CONTEXT(geometry.head_dim << " wide, window " << geometry.window << ", length " << length)
            {
                BOOST_TEST(std::sqrt(error / size) < 6e-3);
                BOOST_TEST(worst < 0.06);
            }
        }
    }
}

/// Equal scores weigh all that is seen alike, and small whole numbers are not rounded: the mean to the last bits.
BOOST_AUTO_TEST_CASE(equal_scores_give_the_mean_of_what_is_seen)
{
    const auto rounded = compute::make_backend("cpu", compute::Precision::bf16, 1);
    for (const AttentionGeometry& geometry : geometries) {
        const Index length = 211;
        const Index width = geometry.key_width();
        const Buffer<float> q(length * geometry.query_width());
        const Buffer<float> k = normals(length * width, 2);
        Buffer<float> v(length * width);
        Random random(5, 1);
        for (float& value : v) {
            value = static_cast<float>(random.below(100)) - 50.0F;
        }
        const auto found = attended<float>(rounded->single(), geometry, 1, length, q, k, v);
        double worst = 0.0;
        for (Index t = 0; t < length; ++t) {
            const Index oldest = geometry.window > 0 ? std::max<Index>(0, t + 1 - geometry.window) : 0;
            for (Index c = 0; c < geometry.query_width(); ++c) {
                const Index from = c / geometry.head_dim * geometry.kv_heads / geometry.heads * geometry.head_dim +
                                   c % geometry.head_dim;
                double sum = 0.0;
                for (Index s = oldest; s <= t; ++s) {
                    sum += static_cast<double>(v[s * width + from]);
                }
                const double mean = sum / static_cast<double>(t + 1 - oldest);
                worst = std::max(worst,
                                 std::abs(static_cast<double>(found[t * geometry.query_width() + c]) - mean));
            }
            for (Index head = 0; head < geometry.heads; ++head) {
                const double statistic =
                    static_cast<double>(found[length * geometry.query_width() + head * length + t]);
                worst = std::max(worst, std::abs(statistic - std::log(static_cast<double>(t + 1 - oldest))));
            }
        }
        BOOST_TEST(worst < 1e-5, geometry.head_dim << " wide, window " << geometry.window << ": " << worst);
    }
}

BOOST_AUTO_TEST_CASE(threads_batch_and_what_follows_change_no_bit)
{
    const Index length = 300;
    for (const AttentionGeometry& geometry : geometries) {
        const Index width = geometry.query_width();
        const Buffer<float> q = normals(2 * length * width, 1);
        const Buffer<float> k = normals(2 * length * geometry.key_width(), 2);
        const Buffer<float> v = normals(2 * length * geometry.key_width(), 3);
        const auto alone = compute::make_backend("cpu", compute::Precision::bf16, 1);
        const auto wanted = attended<float>(alone->single(), geometry, 2, length, q, k, v);
        const auto some = compute::make_backend("cpu", compute::Precision::bf16, 5);
        const auto found = attended<float>(some->single(), geometry, 2, length, q, k, v);
        BOOST_TEST(std::equal(wanted.begin(), wanted.end(), found.begin(), found.end()), geometry.head_dim);
        const Index prefix = 101;
        const auto shorter = attended<float>(alone->single(), geometry, 1, prefix, q, k, v);
        BOOST_TEST(std::equal(shorter.data(), shorter.data() + prefix * width, wanted.data()), geometry.head_dim);
    }
}

/// What is added to all keys alike changes no weight, so its gradient is zero: of a forward that was rounded as well, or
/// training would follow the rounding.
BOOST_AUTO_TEST_CASE(a_shift_of_all_keys_has_no_gradient)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::bf16, 2);
    auto& ops = backend->single();
    const Index length = 150;
    for (const AttentionGeometry& geometry : geometries) {
        const Index width = geometry.query_width();
        const Index key_width = geometry.key_width();
        Buffer<float> q = normals(length * width, 1);
        Buffer<float> k = normals(length * key_width, 2);
        const Buffer<float> v = normals(length * key_width, 3);
        const Buffer<float> dy = normals(length * width, 4);
        for (float& value : k) {
            value += 4.0F;
        }
        const auto queries = [&](auto& x) { return Sequences(x.data(), 1, length, width); };
        const auto keys = [&](auto& x) { return Sequences(x.data(), 1, length, key_width); };
        const SoftmaxAttention<float> attention(geometry, Rotary{});      // nothing is turned
        Buffer<float> y(length * width), dq(length * width), dk(length * key_width), dv(length * key_width);
        Buffer<float> statistics(geometry.heads * length);
        attention.forward(ops, queries(q), keys(k), keys(v), queries(y), statistics.data());
        attention.backward(ops, queries(q), keys(k), keys(v), statistics.data(), queries(dy), queries(dq), keys(dk),
                           keys(dv));
        double worst = 0.0;
        for (Index c = 0; c < key_width; ++c) {
            double sum = 0.0;
            double size = 1.0;
            for (Index t = 0; t < length; ++t) {
                sum += static_cast<double>(dk[t * key_width + c]);
                size += std::abs(static_cast<double>(dk[t * key_width + c]));
            }
            worst = std::max(worst, std::abs(sum) / size);
        }
        BOOST_TEST(worst <= 1e-5, geometry.head_dim << " wide, window " << geometry.window << ": " << worst);
    }
}
