// SPDX-License-Identifier: Apache-2.0
// The implicit filter: a sine network on positional features, times an exponential window.
#include "libcore/base/error.hpp"
#include "libcore/compute/vector.hpp"
#include "libcore/models/filter_forms.hpp"
#include "libcore/models/hyena_kernels.hpp"
#include "libcore/models/scratch.hpp"

#include <algorithm>
#include <cmath>

namespace stillhouse::models {

namespace {

using compute::Operations;
using compute::Transpose;

template <class T>
class ImplicitForm final : public Filter<T> {
public:
    using Entry = typename Parameters<T>::Entry;

    ImplicitForm(const MixerConfig& config, Index layer, const Parameters<T>& weights)
        : settings_(config.implicit), rows_(filter_rows_of(config)), length_(config.filter_length), delay_(config.delay)
    {
        const auto entry = [&](const std::string& part) -> const Entry* {
            const std::string name = filter_name(layer, "filter_mlp." + part);
            for (const WeightShape& wanted : implicit_filter_weights(config, layer)) {
                if (wanted.name == name) {
                    return &weights.at(name, wanted.shape);
                }
            }
            return nullptr;
        };
        for (Index i = 0; i <= settings_.inner_layers; ++i) {
            weights_.push_back(entry("weight." + std::to_string(i)));
            biases_.push_back(entry("bias." + std::to_string(i)));
        }
        weights_.push_back(entry("weight." + std::to_string(settings_.inner_layers + 1)));
        frequency_ = entry("frequency");
        positions_ = entry("positions");
        decay_ = entry("decay");
        const std::string times_name = filter_name(layer, "filter_mlp.times");
        times_ = weights.find(times_name) != nullptr ? &weights.at(times_name, {length_}) : nullptr;
    }

    void materialize(Operations<T>& ops, Matrix<T> h) const override
    {
        STILLHOUSE_CHECK(h.rows == rows_ && h.cols == length_);
        Activations kept = run(ops);
        ops.gemm(T(1), weights_.back()->matrix(), Transpose::no,
                 Matrix<const T>(kept.active.back().data(), length_, settings_.width), Transpose::yes, T(0), h);
        shape(ops.pool(), h, nullptr);
    }

    void backward(Operations<T>& ops, Matrix<const T> dh, Parameters<T>& gradient) const override
    {
        STILLHOUSE_CHECK(dh.rows == rows_ && dh.cols <= length_);
        const Index width = settings_.width;
        Activations kept = run(ops);
        Scratch<T> plain(rows_ * length_);
        Scratch<T> filter(rows_ * length_);
        Scratch<T> sums(length_);
        const Matrix<T> g(plain.data(), rows_, length_);
        const Matrix<T> h(filter.data(), rows_, length_);
        ops.gemm(T(1), weights_.back()->matrix(), Transpose::no,
                 Matrix<const T>(kept.active.back().data(), length_, width), Transpose::yes, T(0), g);
        std::copy_n(g.data, g.rows * g.cols, h.data);
        shape(ops.pool(), h, sums.data());
        shape_backward(ops.pool(), dh, g, h, sums.data(), gradient);   // g is now the gradient of the network's output

        Scratch<T> da(length_ * width);
        Scratch<T> du(length_ * width);
        const Matrix<T> dactive(da.data(), length_, width);
        const Matrix<T> dlinear(du.data(), length_, width);
        add_product(ops, Matrix<const T>(g), Transpose::no,
                    Matrix<const T>(kept.active.back().data(), length_, width), weights_.back()->name, gradient);
        ops.gemm(T(1), Matrix<const T>(g), Transpose::yes, weights_.back()->matrix(), Transpose::no, T(0), dactive);
        auto* dfrequency = gradient.find(frequency_->name);
        for (Index i = settings_.inner_layers; i >= 0; --i) {
            const auto at = static_cast<std::size_t>(i);
            sine_backward(ops.pool(), kept.linear[at].data(), dactive, dlinear,
                          dfrequency != nullptr ? dfrequency->values.data() : nullptr);
            const Matrix<const T> below =
                i > 0 ? Matrix<const T>(kept.active[at - 1].data(), length_, width) : positions_->matrix();
            add_product(ops, Matrix<const T>(dlinear), Transpose::yes, below, weights_[at]->name, gradient);
            if (auto* entry = gradient.find(biases_[at]->name)) {
                add_column_sums(ops.pool(), Matrix<const T>(dlinear), entry->values.data());
            }
            if (i > 0) {
                ops.gemm(T(1), Matrix<const T>(dlinear), Transpose::no, weights_[at]->matrix(), Transpose::no, T(0),
                         dactive);
            } else if (auto* entry = gradient.find(positions_->name)) {
                ops.gemm(T(1), Matrix<const T>(dlinear), Transpose::no, weights_[0]->matrix(), Transpose::no, T(1),
                         entry->matrix());
            }
        }
    }

private:
    struct Activations {
        std::vector<Scratch<T>> linear;   // before each sine, [L, width]
        std::vector<Scratch<T>> active;   // after it
    };

    Activations run(Operations<T>& ops) const
    {
        Activations kept;
        const Index width = settings_.width;
        const T* const w = frequency_->values.data();
        for (Index i = 0; i <= settings_.inner_layers; ++i) {
            const auto at = static_cast<std::size_t>(i);
            const Matrix<const T> below =
                i > 0 ? Matrix<const T>(kept.active[at - 1].data(), length_, width) : positions_->matrix();
            kept.linear.emplace_back(length_ * width);
            kept.active.emplace_back(length_ * width);
            const Matrix<T> linear(kept.linear.back().data(), length_, width);
            T* const active = kept.active.back().data();
            ops.linear(below, weights_[at]->matrix(), biases_[at]->values.data(), linear);
            ops.pool().for_each(length_, [&](Index n) {
                T* const out = active + n * width;
                for (Index j = 0; j < width; ++j) {
                    out[j] = w[j] * linear(n, j);
                }
                compute::vector_sin(out, width, out);
            });
        }
        return kept;
    }

    /// The time of each lag.
    std::vector<double> times() const
    {
        std::vector<double> result(static_cast<std::size_t>(length_), 0.0);
        for (Index n = 0; n < length_; ++n) {
            if (times_ != nullptr) {
                result[static_cast<std::size_t>(n)] = static_cast<double>(times_->values[n]);
            } else if (length_ > 1) {
                result[static_cast<std::size_t>(n)] = static_cast<double>(n) / static_cast<double>(length_ - 1);
            }
        }
        return result;
    }

    /// exp(-time |decay|) of filter f at each lag; 1 without a window.
    void fade(Index f, const std::vector<double>& times, T* to) const
    {
        if (!settings_.modulate) {
            std::fill_n(to, length_, T(1));
            return;
        }
        const double rate = -std::abs(static_cast<double>(decay_->values[f]));
        for (Index n = 0; n < length_; ++n) {
            to[n] = static_cast<T>(times[static_cast<std::size_t>(n)] * rate);
        }
        compute::vector_exp(to, length_, to);
    }
    T shift() const { return settings_.modulate ? static_cast<T>(settings_.shift) : T(0); }

    /// The window, the normalisation (their sums go to `sums` where it is not null) and the delay, in place.
    void shape(ThreadPool& pool, Matrix<T> h, T* sums) const
    {
        const std::vector<double> lags = times();
        pool.for_each(rows_, [&](Index f) {
            Scratch<T> fades(length_);
            fade(f, lags, fades.data());
            T* const row = h.row(f);
            for (Index n = 0; n < length_; ++n) {
                row[n] *= fades.data()[n] + shift();
            }
        });
        if (settings_.normalize) {
            for (Index n = 0; n < length_; ++n) {
                double sum = 0.0;
                for (Index f = 0; f < rows_; ++f) {
                    sum += std::abs(static_cast<double>(h(f, n)));
                }
                sum = sum > 0.0 ? sum : 1.0;
                for (Index f = 0; f < rows_; ++f) {
                    h(f, n) = static_cast<T>(static_cast<double>(h(f, n)) / sum);
                }
                if (sums != nullptr) {
                    sums[n] = static_cast<T>(sum);
                }
            }
        }
        for (Index f = 0; f < rows_; ++f) {
            std::fill_n(h.row(f), std::min(delay_, length_), T(0));
        }
    }

    /// g, the network's output, becomes its gradient; that of the decays is added. h is the finished filter.
    void shape_backward(ThreadPool& pool, Matrix<const T> dh, Matrix<T> g, Matrix<const T> h, const T* sums,
                        Parameters<T>& gradient) const
    {
        std::vector<double> mean(static_cast<std::size_t>(length_), 0.0);   // sum_f dh h at each lag
        if (settings_.normalize) {
            for (Index n = delay_; n < dh.cols; ++n) {
                for (Index f = 0; f < rows_; ++f) {
                    mean[static_cast<std::size_t>(n)] += static_cast<double>(dh(f, n)) * static_cast<double>(h(f, n));
                }
            }
        }
        auto* entry = settings_.modulate ? gradient.find(decay_->name) : nullptr;
        const std::vector<double> lags = times();
        const Index reach = std::min(length_, dh.cols);
        pool.for_each(rows_, [&](Index f) {
            Scratch<T> fades(length_);
            fade(f, lags, fades.data());
            T* const row = g.row(f);
            double decay = 0.0;
            for (Index n = delay_; n < reach; ++n) {
                double d = static_cast<double>(dh(f, n));
                if (settings_.normalize) {
                    const double sign = h(f, n) < T(0) ? -1.0 : 1.0;
                    d = (d - sign * mean[static_cast<std::size_t>(n)]) / static_cast<double>(sums[n]);
                }
                const double faded = static_cast<double>(fades.data()[n]);
                decay -= d * static_cast<double>(row[n]) * faded * lags[static_cast<std::size_t>(n)];
                row[n] = static_cast<T>(d * (faded + static_cast<double>(shift())));
            }
            std::fill_n(row, std::min(delay_, length_), T(0));
            std::fill(row + reach, row + length_, T(0));
            if (entry != nullptr) {
                entry->values[f] += static_cast<T>(decay_->values[f] < T(0) ? -decay : decay);
            }
        });
    }

    /// du = da cos(w u) w; dfrequency, where not null, += sum over lags of da cos(w u) u.
    void sine_backward(ThreadPool& pool, const T* u, Matrix<const T> da, Matrix<T> du, T* dfrequency) const
    {
        const T* const w = frequency_->values.data();
        const Index width = settings_.width;
        Scratch<T> terms(length_ * width);
        pool.for_each(length_, [&](Index n) {
            T* const term = terms.data() + n * width;
            for (Index j = 0; j < width; ++j) {
                term[j] = w[j] * u[n * width + j];
            }
            compute::vector_cos(term, width, term);
            for (Index j = 0; j < width; ++j) {
                const T slope = da(n, j) * term[j];
                du(n, j) = slope * w[j];
                term[j] = slope * u[n * width + j];
            }
        });
        if (dfrequency != nullptr) {
            add_column_sums(pool, Matrix<const T>(terms.data(), length_, width), dfrequency);
        }
    }

    /// gradient of `name`, where it is wanted, += op(a) b
    static void add_product(Operations<T>& ops, Matrix<const T> a, Transpose op, Matrix<const T> b,
                            const std::string& name, Parameters<T>& gradient)
    {
        if (auto* entry = gradient.find(name)) {
            ops.gemm(T(1), a, op, b, Transpose::no, T(1), entry->matrix());
        }
    }

    ImplicitFilter settings_;
    Index rows_, length_, delay_;
    std::vector<const Entry*> weights_, biases_;
    const Entry* frequency_ = nullptr;
    const Entry* positions_ = nullptr;
    const Entry* decay_ = nullptr;
    const Entry* times_ = nullptr;
};

}  // namespace

std::vector<WeightShape> implicit_filter_weights(const MixerConfig& config, Index layer)
{
    const ImplicitFilter& settings = config.implicit;
    std::vector<WeightShape> weights;
    const auto add = [&](const std::string& part, Shape shape) {
        weights.push_back({filter_name(layer, "filter_mlp." + part), std::move(shape)});
    };
    for (Index i = 0; i <= settings.inner_layers; ++i) {
        add("weight." + std::to_string(i), {settings.width, i == 0 ? settings.features : settings.width});
        add("bias." + std::to_string(i), {settings.width});
    }
    add("weight." + std::to_string(settings.inner_layers + 1), {filter_rows_of(config), settings.width});
    add("frequency", {settings.width});
    add("positions", {config.filter_length, settings.features});
    add("decay", {filter_rows_of(config)});
    return weights;
}

template <class T>
std::unique_ptr<Filter<T>> make_implicit_filter(const MixerConfig& config, Index layer, const Parameters<T>& weights)
{
    return std::make_unique<ImplicitForm<T>>(config, layer, weights);
}

template std::unique_ptr<Filter<float>> make_implicit_filter<float>(const MixerConfig&, Index,
                                                                    const Parameters<float>&);
template std::unique_ptr<Filter<double>> make_implicit_filter<double>(const MixerConfig&, Index,
                                                                      const Parameters<double>&);

}  // namespace stillhouse::models
