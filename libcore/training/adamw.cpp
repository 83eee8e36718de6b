// SPDX-License-Identifier: Apache-2.0
// AdamW, schedules and clipping.
#include "libcore/training/adamw.hpp"

#include "libcore/compute/vector.hpp"

#include <cmath>
#include <numbers>

namespace stillhouse::training {

namespace {

// Elements a task updates: small enough to balance, large enough not to notice the counter.
constexpr Index tile = 16384;

using OfNames = std::map<std::string, double, std::less<>>;

double find_or(const OfNames& values, const std::string& name, double otherwise)
{
    const auto at = values.find(name);
    return at != values.end() ? at->second : otherwise;
}

}  // namespace

double Schedule::at(Index step) const
{
    if (step < warmup) {
        return peak * static_cast<double>(step + 1) / static_cast<double>(warmup);
    }
    if (shape == Shape::constant || steps <= warmup) {
        return peak;
    }
    const double x = std::min(1.0, static_cast<double>(step - warmup) / static_cast<double>(steps - warmup));
    const double left = shape == Shape::cosine ? 0.5 * (1.0 + std::cos(std::numbers::pi * x)) : 1.0 - x;
    return peak * (floor + (1.0 - floor) * left);
}

template <class T>
AdamW<T>::AdamW(const models::Parameters<T>& trained, AdamWOptions options)
    : options_(options), first_(trained.zeros_like()), second_(trained.zeros_like())
{
}

template <class T>
void AdamW<T>::step(ThreadPool& pool, const models::Parameters<T>& gradient, double rate,
                    models::Parameters<T>& weights)
{
    ++steps_;
    const auto n_steps = static_cast<double>(steps_);
    const double correction1 = 1.0 - std::pow(options_.beta1, n_steps);
    const double correction2 = 1.0 - std::pow(options_.beta2, n_steps);
    compute::AdamWFactors<T> factors{};
    factors.beta1 = static_cast<T>(options_.beta1);
    factors.beta2 = static_cast<T>(options_.beta2);
    factors.root = static_cast<T>(1.0 / std::sqrt(correction2));
    factors.epsilon = static_cast<T>(options_.epsilon);

    for (const auto& entry : gradient) {
        auto& weight = weights.at(entry.name);
        const bool matrix = entry.shape.size() > 1 && entry.name.ends_with(".weight");
        const double decay = find_or(options_.decays, entry.name,
                                     options_.decay_all || matrix ? options_.weight_decay : 0.0);
        const double own_rate = rate * find_or(options_.rate_factors, entry.name, 1.0);
        factors.scale = static_cast<T>(own_rate / correction1);
        factors.keep = static_cast<T>(1.0 - own_rate * decay);
        const T* g = entry.values.data();
        T* m = first_.at(entry.name).values.data();
        T* v = second_.at(entry.name).values.data();
        T* w = weight.values.data();
        const Index n = entry.values.size();
        pool.for_each((n + tile - 1) / tile, [&](Index t) {
            const Index i = t * tile;
            compute::adamw_update(factors, g + i, std::min(tile, n - i), m + i, v + i, w + i);
        });
    }
}

template <class T>
double clip(ThreadPool& pool, models::Parameters<T>& gradient, double limit)
{
    double sum = 0.0;
    for (const auto& entry : gradient) {
        const Index n = entry.values.size();
        const Index n_tiles = (n + tile - 1) / tile;
        std::vector<double> parts(static_cast<std::size_t>(n_tiles));
        pool.for_each(n_tiles, [&](Index t) {
            const Index i = t * tile;
            const double part = compute::sum_of_squares(entry.values.data() + i, std::min(tile, n - i));
            parts[static_cast<std::size_t>(t)] = part;
        });
        for (const double part : parts) {
            sum += part;
        }
    }
    const double norm = std::sqrt(sum);
    if (limit > 0.0 && norm > limit) {
        const T factor = static_cast<T>(limit / norm);
        for (auto& entry : gradient) {
            for (T& x : entry.values) {
                x *= factor;
            }
        }
    }
    return norm;
}

template class AdamW<float>;
template class AdamW<double>;
template double clip<float>(ThreadPool&, models::Parameters<float>&, double);
template double clip<double>(ThreadPool&, models::Parameters<double>&, double);

}  // namespace stillhouse::training
