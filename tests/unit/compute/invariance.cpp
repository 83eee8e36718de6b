// SPDX-License-Identifier: Apache-2.0
// Bits must not depend on the number of threads, nor a row's bits on the other rows or its place among them.
#include <boost/test/unit_test.hpp>

#include "tests/unit/compute/common.hpp"

#include <functional>
#include <string>
#include <vector>

using namespace stillhouse;
using compute::Operations;
using compute::Precision;
using compute::Transpose;

namespace {

constexpr Index most = 1000;

template <class T>
struct RowOperation {
    std::string name;
    Index k;
    Index n;
    std::function<void(Operations<T>&, const Dense<T>&, Dense<T>&)> apply;
};

template <class T>
std::vector<RowOperation<T>> row_operations()
{
    std::vector<RowOperation<T>> list;
    for (const auto& [k, n] : std::vector<std::pair<Index, Index>>{{192, 192}, {600, 70}, {33, 300}, {768, 192}}) {
        static std::vector<std::unique_ptr<Dense<T>>> kept;
        kept.push_back(std::make_unique<Dense<T>>(n, k, 21));
        kept.push_back(std::make_unique<Dense<T>>(1, n, 22));
        kept.push_back(std::make_unique<Dense<T>>(k, n, 23));
        const Dense<T>& w = *kept[kept.size() - 3];
        const Dense<T>& bias = *kept[kept.size() - 2];
        const Dense<T>& b = *kept.back();
        list.push_back({"linear", k, n, [&](Operations<T>& ops, const Dense<T>& x, Dense<T>& y) {
                            ops.linear(x.in(), w.in(), bias.row(0), y.out());
                        }});
        list.push_back({"linear_decode", k, n, [&](Operations<T>& ops, const Dense<T>& x, Dense<T>& y) {
                            ops.linear_decode(x.in(), w.in(), bias.row(0), y.out());
                        }});
        list.push_back({"gemm", k, n, [&](Operations<T>& ops, const Dense<T>& x, Dense<T>& y) {
                            ops.gemm(T(0.5), x.in(), Transpose::no, b.in(), Transpose::no, T(0), y.out());
                        }});
        list.push_back({"layer_norm", k, k, [&](Operations<T>& ops, const Dense<T>& x, Dense<T>& y) {
                            ops.layer_norm(x.in(), w.row(0), b.row(0), T(1e-5), y.out(), nullptr);
                        }});
        list.push_back({"rms_norm", k, k, [&](Operations<T>& ops, const Dense<T>& x, Dense<T>& y) {
                            ops.rms_norm(x.in(), w.row(0), T(1e-5), y.out(), nullptr);
                        }});
        list.push_back({"softmax", k, k, [](Operations<T>& ops, const Dense<T>& x, Dense<T>& y) {
                            ops.softmax(x.in(), T(0.7), x.cols, y.out());
                        }});
        using compute::Activation;
        for (const auto f : {Activation::gelu_erf, Activation::gelu_tanh, Activation::silu}) {
            list.push_back({"activate", k, k, [f](Operations<T>& ops, const Dense<T>& x, Dense<T>& y) {
                                ops.activate(f, x.row(0), x.data.size(), y.row(0));
                            }});
        }
    }
    return list;
}

template <class T>
void check_rows(Precision precision)
{
    const auto one = compute::make_backend("cpu", precision, 1);
    const auto three = compute::make_backend("cpu", precision, 3);
    for (const RowOperation<T>& op : row_operations<T>()) {
        const Dense<T> x(most, op.k, 31);
        Dense<T> whole(most, op.n);
        Dense<T> again(most, op.n);
        op.apply(one->on<T>(), x, whole);
        op.apply(three->on<T>(), x, again);
        BOOST_TEST(same_bits(whole, again), op.name << " depends on threads");
        for (const Index m : {1, 7, 64, 100, 999}) {
            // Row i of the small batch is row (17 + 7 i) mod 1000 of the large one: another place, other neighbours.
            Dense<T> part(m, op.k);
            for (Index i = 0; i < m; ++i) {
                std::copy_n(x.row((17 + 7 * i) % most), op.k, part.row(i));
            }
            Dense<T> y(m, op.n);
            op.apply(three->on<T>(), part, y);
            Index different = 0;
            for (Index i = 0; i < m; ++i) {
                different += same_row(y.row(i), whole.row((17 + 7 * i) % most), op.n) ? 0 : 1;
            }
            BOOST_TEST(different == 0, op.name << " k " << op.k << " n " << op.n << ": " << different << " of " << m
                                               << " rows depend on the batch");
        }
    }
}

/// Everything that is no function of single rows: weight gradients, norm gradients, convolutions.
template <class T>
std::vector<Dense<T>> long_sums(Precision precision, int threads)
{
    const auto backend = compute::make_backend("cpu", precision, threads);
    Operations<T>& ops = backend->on<T>();
    const Dense<T> x(most, 100, 1);
    const Dense<T> dy(most, 100, 2);
    const Dense<T> weight(1, 100, 3);
    std::vector<Dense<T>> results;
    Dense<T>& gradient = results.emplace_back(100, 100, 4);
    ops.gemm(T(1), dy.in(), Transpose::yes, x.in(), Transpose::no, T(1), gradient.out());
    Dense<T> y(most, 100);
    Dense<T> statistics(most, 2);
    for (const bool layer : {true, false}) {
        Dense<T> dx(most, 100);
        Dense<T> dweight(1, 100, 5);
        Dense<T> dbias(1, 100, 6);
        if (layer) {
            ops.layer_norm(x.in(), weight.row(0), weight.row(0), T(1e-5), y.out(), statistics.row(0));
            ops.layer_norm_backward(x.in(), weight.row(0), statistics.row(0), dy.in(), dx.out(), dweight.row(0),
                                    dbias.row(0));
        } else {
            ops.rms_norm(x.in(), weight.row(0), T(1e-5), y.out(), statistics.row(0));
            ops.rms_norm_backward(x.in(), weight.row(0), statistics.row(0), dy.in(), dx.out(), dweight.row(0));
        }
        results.push_back(std::move(dx));
        results.push_back(std::move(dweight));
        results.push_back(std::move(dbias));
    }
    const Dense<T> u(30, 200, 7);
    const Dense<T> v(30, 200, 8);
    const Dense<T> h(4, 200, 9);
    std::vector<Index> filter_of(30);
    for (std::size_t i = 0; i < filter_of.size(); ++i) {
        filter_of[i] = static_cast<Index>(i * 7 % 4);
    }
    Dense<T> forward(30, 200);
    Dense<T> adjoint(30, 200);
    Dense<T> filters(4, 200, 10);
    ops.convolve(u.in(), h.in(), filter_of.data(), forward.out());
    ops.convolve_adjoint(u.in(), h.in(), filter_of.data(), adjoint.out());
    ops.correlate(v.in(), u.in(), filter_of.data(), filters.out());
    results.push_back(std::move(forward));
    results.push_back(std::move(adjoint));
    results.push_back(std::move(filters));
    return results;
}

template <class T>
void check_threads(Precision precision)
{
    const auto reference = long_sums<T>(precision, 1);
    for (const int threads : {2, 3, 5}) {
        const auto results = long_sums<T>(precision, threads);
        for (std::size_t i = 0; i < results.size(); ++i) {
            BOOST_TEST(same_bits(results[i], reference[i]), "result " << i << " with " << threads << " threads");
        }
    }
}

}  // namespace

BOOST_AUTO_TEST_CASE(rows_do_not_know_their_batch_f32)
{
    check_rows<float>(Precision::f32);
}

BOOST_AUTO_TEST_CASE(rows_do_not_know_their_batch_f64)
{
    check_rows<double>(Precision::f64);
}

BOOST_AUTO_TEST_CASE(rows_do_not_know_their_batch_bf16)
{
    check_rows<float>(Precision::bf16);
}

BOOST_AUTO_TEST_CASE(long_sums_do_not_know_the_threads)
{
    check_threads<float>(Precision::f32);
    check_threads<double>(Precision::f64);
    check_threads<float>(Precision::bf16);
}

BOOST_AUTO_TEST_CASE(operations_inside_a_task_give_the_same_bits)
{
    const auto backend = compute::make_backend("cpu", Precision::f32, 3);
    const Dense<float> x(70, 192, 1);
    const Dense<float> w(192, 192, 2);
    Dense<float> outside(70, 192);
    backend->single().linear(x.in(), w.in(), nullptr, outside.out());
    std::vector<Dense<float>> inside;
    for (int i = 0; i < 6; ++i) {
        inside.emplace_back(70, 192);
    }
    backend->pool().for_each(6, [&](Index i) {
        backend->single().linear(x.in(), w.in(), nullptr, inside[static_cast<std::size_t>(i)].out());
    });
    for (const Dense<float>& y : inside) {
        BOOST_TEST(same_bits(y, outside));
    }
}
